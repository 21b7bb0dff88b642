# shellcheck shell=bash
# Sourced by the project's scripts (*/run): installs what is missing, finds a LibTorch,
# configures and builds.

say() { printf '\n== %s\n' "$*"; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# need PACKAGE...: installs those of Debian's or Ubuntu's packages that are not there.
# TOOL=PACKAGE stands for a package that is only wanted where the command TOOL is missing.
need() {
  local item missing=()
  for item in "$@"; do
    case $item in
      *=*) command -v "${item%%=*}" >/dev/null || missing+=("${item#*=}") ;;
      *) installed "$item" || missing+=("$item") ;;
    esac
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if ! command -v apt-get >/dev/null; then
    say "no apt-get here; if the build fails, install the like of: ${missing[*]}"
    return 0
  fi
  say "installing with apt-get: ${missing[*]}"
  refresh_package_lists
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -qq -y -o Dpkg::Use-Pty=0 --no-install-recommends "${missing[@]}"
}

# Once a run; a foreign source that does not answer is no reason to stop.
refresh_package_lists() {
  [ -z "${package_lists_are_fresh:-}" ] || return 0
  as_root apt-get update -qq || say "apt-get update failed; going on with the lists that are there"
  package_lists_are_fresh=yes
}

# torch_under PREFIX: prints the folder of TorchConfig.cmake.
torch_under() {
  local folder
  for folder in "$1"/Torch "$1"/{share,lib}/cmake/Torch "$1"/lib/*/cmake/Torch; do
    if [ -f "$folder/TorchConfig.cmake" ]; then
      echo "$folder"
      return 0
    fi
  done
  return 1
}

# The prefix of the torch that a Python imports, unless it has the C++ ABI from before 2015.
torch_of_python() {
  "$1" -c 'import torch
if torch.compiled_with_cxx11_abi(): print(torch.utils.cmake_prefix_path)' 2>/dev/null
}

# make_venv FOLDER: LibTorch 2.13 for the CPU from Python's wheel. The plain name would bring
# gigabytes for CUDA where the package index has only that build, so it comes last.
make_venv() {
  [ -z "$(torch_of_python "$1/bin/python")" ] || return 0
  say "installing torch 2.13.0 with pip into $1"
  python3 -c 'import ensurepip, venv' 2>/dev/null || need python3-venv
  python3 -m venv --clear "$1"
  local pip="$1/bin/python -m pip install -q"
  $pip torch==2.13.0+cpu 2>/dev/null ||
    $pip torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu ||
    $pip torch==2.13.0
}

# Sets torch_dir: from CMAKE_PREFIX_PATH, Python's torch, the distribution's libtorch-dev, or a
# wheel in build/venv, whichever is first.
find_torch() {
  local prefix prefixes
  IFS=':;' read -r -a prefixes <<<"${CMAKE_PREFIX_PATH:-}"
  for prefix in ${prefixes[@]+"${prefixes[@]}"} "$(torch_of_python python3)"; do
    if [ -n "$prefix" ] && torch_dir=$(torch_under "$prefix"); then return 0; fi
  done
  if ! installed libtorch-dev && command -v apt-cache >/dev/null; then refresh_package_lists; fi
  if [[ "$(apt-cache policy libtorch-dev 2>/dev/null)" == *"Candidate: "[0-9]* ]]; then
    # The reference BLAS that libtorch-dev would bring is many times slower than OpenBLAS.
    need libtorch-dev libopenblas-dev
    torch_dir=$(torch_under /usr)
  else
    make_venv build/venv
    torch_dir=$(torch_under "$(torch_of_python build/venv/bin/python)")
  fi
}

# configure FOLDER [CMAKE_ARGUMENT...]
configure() {
  find_torch
  say "configuring $1 with the LibTorch of $torch_dir"
  cmake -S . -B "$1" -G Ninja -DTorch_DIR="$torch_dir" "${@:2}"
}

# build FOLDER [TARGET...]: a job a core, as far as there are 2.4 GB for each.
build() {
  local jobs gigabytes
  jobs=$(nproc)
  gigabytes=$(($(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo) / 2400000 + 1))
  if [ "$gigabytes" -lt "$jobs" ]; then jobs=$gigabytes; fi
  say "building in $1"
  cmake --build "$1" -j "$jobs" ${2:+--target "${@:2}"} ${CI:+-- -k 0}  # CI wants to see every error
}
