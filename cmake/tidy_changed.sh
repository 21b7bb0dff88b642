#!/usr/bin/env bash
# cmake/tidy_changed.sh [BASE]: clang-tidy over what has changed since the commit BASE (origin's branch if there is one,
# else HEAD~1), the working tree among it. BUILD_DIR (build/tests) is a configured build folder, whose LibTorch is taken.
# Nothing changed: no time.
set -euo pipefail
cd "$(dirname "$0")/.."
. cmake/setup.sh

base=${1:-$(git rev-parse -q --verify '@{upstream}' || git rev-parse -q --verify HEAD~1 || true)}
folder=${BUILD_DIR:-build/tests}
if [ -z "$base" ]; then
  say "clang-tidy: no commit to compare with"
  exit 0
fi

mapfile -t changed < <(
  {
    git diff --name-only --diff-filter=d "$base" -- '*.hpp' '*.cpp'
    git ls-files --others --exclude-standard -- '*.hpp' '*.cpp'
  } | grep -E '^(include|examples|docs|tests)/' | grep -vE '^tests/(consumers|gpu|benchmarks)/' | sort -u
)
if [ ${#changed[@]} = 0 ]; then
  say "clang-tidy: no source has changed since $base"
  exit 0
fi
need clang-tidy clang

# Flags: LibTorch's folders from the build's cache; the rest is ours.
torch=$(sed -n 's/^Torch_DIR:[A-Z]*=//p' "$folder/CMakeCache.txt")
prefix=$(realpath "$torch/../../..")
flags=(-std=c++17 -Iinclude -Itests -Itests/docs -Iexamples -isystem /usr/include/opencv4)
for include in "$prefix"/include "$prefix"/include/torch/csrc/api/include; do
  case $include in /usr/include) ;; *) flags+=(-isystem "$include") ;; esac
done
flags+=('-DSIGHTGLASS_SHARED_DIR=""' -Wno-unknown-warning-option)

# Reading LibTorch's headers is most of the time: changed headers go into one file, changed tests into another, as in
# the unity build; programs are files of their own.
work=$folder/tidy
rm -rf "$work" && mkdir -p "$work"
files=() tests=()
for file in "${changed[@]}"; do
  case $file in
    include/*_inl.hpp) ;; # read by its header
    include/*.hpp) printf '#include "%s"\n' "${file#include/}" >>"$work/headers.cpp" ;;
    tests/*.cpp) tests+=("$PWD/$file") ;;
    *.cpp) files+=("$file") ;;
  esac
done
[ ! -f "$work/headers.cpp" ] || files+=("$work/headers.cpp")
if [ ${#tests[@]} -gt 0 ]; then
  cmake "-DBATCH=$work/tests.cpp" "-DSOURCES=$(IFS='|' && echo "${tests[*]}")" -P cmake/batch_tests.cmake
  files+=("$work/tests.cpp")
fi
[ ${#files[@]} -gt 0 ] || exit 0

say "clang-tidy: ${#changed[@]} files changed since $base"
# Warnings of changed headers only: an included one that nobody touched is somebody else's change.
filter=$(printf '%s\n' "${changed[@]}" | grep '\.hpp$' | sed 's/[.]/\\./g' | paste -sd'|' || true)
printf '%s\0' "${files[@]}" |
  xargs -0 -I{} -P "${JOBS:-$(nproc)}" clang-tidy --quiet "--header-filter=${filter:-none}" --config-file=.clang-tidy \
    2> >(grep -v 'warnings\? generated\|^Suppressed\|^Use -header' >&2) {} -- "${flags[@]}"
