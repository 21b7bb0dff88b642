#!/usr/bin/env bash
# install.sh BUILD_FOLDER SOURCE_FOLDER: installs into a folder of its own; the programs run from there, and
# examples/minimal is a project that takes what was installed.
set -eu
build=$1 source=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset LD_LIBRARY_PATH

cmake --install "$build" --prefix "$folder/installed" >/dev/null
for program in explain gallery pets scoreboard shapes watch; do
  [ -x "$build/examples/$program" ] || continue  # not every build folder has all of them
  "$folder/installed/bin/$program" --help >"$folder/help"
  grep -qF -e "--help" "$folder/help" || { echo "FAILED: $program --help printed:"; cat "$folder/help"; exit 1; }
  echo "bin/$program runs"
done
grep -qF -e "--list-layers" <("$folder/installed/bin/explain" --help)

from_cache() { sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"; }
cmake -S "$source/examples/minimal" -B "$folder/minimal" -G "$(from_cache CMAKE_GENERATOR)" \
  -DTorch_DIR="$(from_cache Torch_DIR)" -DCMAKE_PREFIX_PATH="$folder/installed" >"$folder/log" 2>&1 &&
  grep -q "hook.dir" "$folder/minimal/CMakeFiles/TargetDirectories.txt" &&
  grep -q "picture.dir" "$folder/minimal/CMakeFiles/TargetDirectories.txt" ||
  { echo "FAILED: examples/minimal, configured:"; cat "$folder/log"; exit 1; }
echo "examples/minimal takes what was installed"
