# shellcheck shell=bash
# Sourced, after cmake/setup.sh, by tests/roots/run and .ci/run: fresh machines. They are roots that
# debootstrap makes under $roots, with this machine's package sources and proxies and nothing else of it.
# Needs to be root.

roots=${SIGHTGLASS_ROOTS:-/var/tmp/sightglass-roots}
root=  # the one in use, set by the script
shared=$(realpath -m "${SIGHTGLASS_SHARED_DIR:-../shared}")

# own_mounts SCRIPT [ARGUMENT...]: runs the script again where its mounts are seen by it alone and end
# with it. One script has the roots at a time.
own_mounts() {
  if [ -z "${SIGHTGLASS_IN_ROOTS:-}" ]; then
    SIGHTGLASS_IN_ROOTS=yes exec unshare --mount --propagation private bash "$@"
  fi
  mkdir -p "$roots"
  exec 9>"$roots/lock"
  flock -n 9 || { say "waiting for another run that uses $roots" && flock 9; }
}

# The mirror and the proxy that this machine's apt uses.
mirror() {
  # shellcheck disable=SC2016 # apt's own variable
  apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Created-By: Packages' | sed '/security/d' | sort -u | sed -n 1p
}
proxies() { apt-config dump | grep -E '^Acquire::https?::Proxy' || true; }

# make_base SUITE: the minimal system with git, as it is before anybody uses it. One that was left half
# made, or made from other sources, is made again.
make_base() {
  local base=$roots/$1 from sources
  from=$(mirror)
  sources="$1 from ${from:-the default mirror} $(proxies)"
  [ "$(cat "$base.ready" 2>/dev/null)" != "$sources" ] || return 0
  rm -rf --one-file-system "$base" "$base.ready"
  debootstrap --variant=minbase --include=ca-certificates,git "$1" "$base" ${from:+"$from"}
  # A mirror may stand still for weeks; signatures are still checked.
  printf '%s\n' "$(proxies)" 'Acquire::Check-Valid-Until "false";' >"$base/etc/apt/apt.conf.d/90roots"
  echo "$sources" >"$base.ready"
}

# fresh_root SUITE: makes $root an empty machine, with a clone of this checkout in /work/sightglass and
# the data, read-only, beside it. From one run to the next are kept: the empty system, packages that
# were downloaded, and ccache's files (there is no ccache in it yet).
fresh_root() {
  make_base "$1"
  rm -rf --one-file-system "$root"
  cp -a "$roots/$1" "$root"
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  keep "$roots/$1.packages" "$root/var/cache/apt/archives"
  keep "$roots/$1.ccache" "$root/root/.cache/ccache"
  clone_into "$root/work/sightglass"
  if [ -d "$shared" ]; then
    mkdir "$root/work/shared"
    mount --bind "$shared" "$root/work/shared"
    mount -o remount,bind,ro "$root/work/shared"
  fi
}

keep() {
  mkdir -p "$1" "$2"
  mount --bind "$1" "$2"
}

# clone_into FOLDER: what git has, and changes that are not committed yet.
clone_into() {
  git clone -q --no-hardlinks . "$1"
  [ -n "$(git status --porcelain)" ] || return 0
  say "the clone takes along what is not committed:" && git status --short
  git diff --binary HEAD | git -C "$1" apply --allow-empty
  git ls-files -z --others --exclude-standard | tar -c --null -T - | tar -x -C "$1"
}

# in_root COMMAND...: with nothing of this machine's environment but its proxies.
in_root() {
  env -i CI=true HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    CCACHE_MAXSIZE="${CCACHE_MAXSIZE:-10G}" \
    ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
    chroot "$root" "$@" </dev/null
}
