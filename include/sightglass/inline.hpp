#pragma once

/// What stands before the definitions in `*_inl.hpp`: they are inline where the library is headers alone, and compiled
/// once where a program links `sightglass::compiled`, whose users have SIGHTGLASS_COMPILED defined.
#ifdef SIGHTGLASS_COMPILED
#define SIGHTGLASS_INLINE
#else
#define SIGHTGLASS_INLINE inline
#endif
