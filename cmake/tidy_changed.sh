#!/usr/bin/env bash
# cmake/tidy_changed.sh [BASE]: clang-tidy over what has changed since the commit BASE, the working tree among it. BUILD_DIR
# (build/tests) is a configured build folder, whose LibTorch is taken. What is not done within SECONDS_AT_MOST (300)
# is named and left out. Nothing changed: no time. Tests are not looked at: what it finds there is sums worked out by hand.
set -euo pipefail
cd "$(dirname "$0")/.."
. cmake/setup.sh

# Without BASE: where the branch left its upstream. In CI's checkout nothing has changed since then, for what it checks has
# landed: there it is the last 20 commits, about a day's work (fewer where there are no more), however many land at once.
base=${1:-$(git rev-parse -q --verify '@{upstream}' 2>/dev/null || git rev-parse -q --verify origin/main || true)}
base=$(git merge-base "${base:-HEAD}" HEAD || true)  # what was done elsewhere meanwhile is no change of ours
if [ $# = 0 ] && [ "${base:-$(git rev-parse HEAD)}" = "$(git rev-parse HEAD)" ] &&
  [ -z "$(git status --porcelain -- '*.hpp' '*.cpp')" ]; then
  base=$(git rev-list --first-parent --max-count=21 HEAD | tail -n 1)
fi

mapfile -t changed < <(
  {
    git diff --name-only --diff-filter=d "$base" -- '*.hpp' '*.cpp'
    git ls-files --others --exclude-standard -- '*.hpp' '*.cpp'
  } | grep -E '^(include|examples|docs)/' | sort -u
)
if [ ${#changed[@]} = 0 ]; then
  say "clang-tidy: no source has changed since $base"
  exit 0
fi
need clang-tidy

# Flags: LibTorch's folders from the build's cache; the rest is ours.
folder=${BUILD_DIR:-build/tests}
torch=$(sed -n 's/^Torch_DIR:[A-Z]*=//p' "$folder/CMakeCache.txt")
prefix=$(realpath "$torch/../../..")
flags=(-std=c++17 -Iinclude -Iexamples -isystem /usr/include/opencv4)
for include in "$prefix"/include "$prefix"/include/torch/csrc/api/include; do
  case $include in /usr/include) ;; *) flags+=(-isystem "$include") ;; esac
done
flags+=(-Wno-unknown-warning-option -Wno-return-type)

# Reading LibTorch's headers is most of the time: changed headers are read as one file, and changed programs as another, each
# in a namespace of its own behind what all of them include; their `main` has another name, being no main there.
work=$folder/tidy
rm -rf "$work" && mkdir -p "$work"
programs=() files=()
for file in "${changed[@]}"; do
  case $file in
    include/*) echo "#include \"$(sed 's/^include.//; s/_inl[.]hpp$/.hpp/' <<<"$file")\" // $file" >>"$work/headers.cpp" ;;
    *.hpp) echo "#include \"${file#*/}\" // $file" >>"$work/headers.cpp" ;;
    *) programs+=("$file") ;;
  esac
done
[ ! -f "$work/headers.cpp" ] || files+=("$work/headers.cpp")
for file in ${programs[@]+"${programs[@]}"}; do
  sed -n 's/^\(#include [^ ]*\).*/\1/p' "$file" >>"$work/programs.cpp"
  flags+=("-I$(dirname "$file")")
done
[ ${#programs[@]} = 0 ] || echo '#define main program' >>"$work/programs.cpp"
for file in ${programs[@]+"${programs[@]}"}; do
  printf 'namespace %s {\n#include "%s" // %s\n}\n' "${file//[^a-z0-9]/_}" "$PWD/$file" "$file" >>"$work/programs.cpp"
done
[ ! -f "$work/programs.cpp" ] || files+=("$work/programs.cpp")

say "clang-tidy: ${#changed[@]} files changed since $base"
# Warnings of changed headers only: an included one that nobody touched is somebody else's change.
filter=$(printf '%s\n' "${changed[@]}" | sed 's/[.]/\\./g' | paste -sd'|')

# tidy FILE: within the time that is left; what is not done by then is no fault, but named.
tidy() {
  local left=$((deadline - $(date +%s))) status=124
  if [ "$left" -gt 0 ]; then
    status=0
    timeout "$left" clang-tidy --quiet "--header-filter=$filter" --config-file=.clang-tidy \
      --checks=-bugprone-suspicious-include "$1" -- "${@:2}" \
      2> >(grep -v 'warnings\? generated\|^Suppressed\|^Use -header' >&2) || status=$?
  fi
  [ $status = 124 ] || return $status
  echo "clang-tidy: left out, there was no time for:"
  sed -n 's|.* // |  |p' "$1"
}
export -f tidy
export filter deadline=$(($(date +%s) + ${SECONDS_AT_MOST:-300}))
printf '%s\0' "${files[@]}" | xargs -0 -I{} -P "${JOBS:-$(nproc)}" bash -c 'tidy "$@"' - {} "${flags[@]}"
