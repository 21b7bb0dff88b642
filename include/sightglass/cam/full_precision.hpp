#pragma once

#include <c10/core/DispatchKeySet.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

namespace sightglass::detail {

/// While it lives, the thread computes in the precision that it is given: maps are float32 under autocast, too, which
/// would have matrix products in 16 bits. For our own sums only; what runs the model runs it as its caller does.
struct FullPrecision {
  FullPrecision() : without_autocast_(c10::autocast_dispatch_keyset) {}

 private:
  c10::impl::ExcludeDispatchKeyGuard without_autocast_;
};

}  // namespace sightglass::detail
