# For our own tests, benchmarks and programs; nothing here reaches a consumer.

# LibTorch 2.14 asks for C++20; everything before builds as C++17.
if(NOT CMAKE_CXX_STANDARD)
  if(Torch_VERSION VERSION_GREATER_EQUAL 2.14)
    set(CMAKE_CXX_STANDARD 20)
  else()
    set(CMAKE_CXX_STANDARD 17)
  endif()
endif()
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)

# Warnings are a target of ours that is never exported.
add_library(sightglass_warnings INTERFACE)
target_compile_options(
  sightglass_warnings INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow
                                $<$<BOOL:${SIGHTGLASS_WARNINGS_ARE_ERRORS}>:-Werror>)

# ccache, when it is there. The sloppiness is what precompiled headers need; the base directory and
# the unhashed working directory let two clones share results.
find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env "CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}" CCACHE_NOHASHDIR=1
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${CCACHE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    target_compile_options(sightglass_warnings INTERFACE -fpch-preprocess)
  endif()
endif()
