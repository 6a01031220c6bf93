#!/usr/bin/env bash
# Unpacks a Debian package without installing it.   tools/fetch_package.sh PACKAGE DIRECTORY [ARCHITECTURE]
# A package that only depends on a versioned one (linux-image-cloud-amd64) is followed to it. Downloads are kept beside
# DIRECTORY. The unpacked package's name is printed. Exit status 3: it cannot be downloaded here.
# Lists of another architecture are kept beside the downloads: the system's own are left alone.
set -euo pipefail

package=$1 directory=$2 architecture=${3:-}
if [[ -f $directory/.package ]]; then
  cat "$directory/.package"
  exit 0
fi

unavailable() {
  echo "fetch_package: $package cannot be downloaded: $1" >&2
  exit 3
}

for tool in apt-get apt-cache dpkg-deb; do
  command -v "$tool" >/dev/null || unavailable "this system has no $tool"
done
mkdir -p "$directory"
downloads=$(cd "$directory/.." && pwd)/packages
mkdir -p "$downloads"
apt=()
if [[ -n $architecture ]]; then
  state=$downloads/apt-$architecture
  mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
  apt=(-o "APT::Architecture=$architecture" -o "APT::Architectures=$architecture" -o "Dir::State=$state"
    -o "Dir::State::lists=$state/lists" -o "Dir::State::status=/dev/null" -o "Dir::Cache=$state/cache"
    -o APT::Sandbox::User=root)
fi
if ! apt-cache "${apt[@]}" show "$package" >/dev/null 2>&1; then
  update=(apt-get "${apt[@]}")
  ((EUID == 0)) || [[ -n $architecture ]] || update=(sudo -n apt-get)
  "${update[@]}" update -qq >/dev/null 2>&1 || true
fi
real=$package
if [[ $package == linux-image-* ]]; then
  real=$(apt-cache "${apt[@]}" depends "$package" 2>/dev/null |
    sed -n 's/^ *Depends: *\(linux-image-[0-9][^ ]*\)$/\1/p' | head -1) || real=
fi
[[ -n $real ]] || unavailable "the package lists do not know it (no network, or not Debian)"

archive="$downloads/${real}_*_${architecture:-$(dpkg --print-architecture)}.deb"
if ! compgen -G "$archive" >/dev/null; then
  # apt's own sandbox user may be unable to enter the directory.
  (cd "$downloads" && apt-get "${apt[@]}" -o APT::Sandbox::User=root download "$real" >/dev/null 2>&1) ||
    unavailable "apt-get download $real failed (no network?)"
fi
deb=$(compgen -G "$archive" | sort -V | tail -1)
if ! dpkg-deb -x "$deb" "$directory"; then
  rm -f "$deb"
  unavailable "${deb##*/} was damaged; try again"
fi
echo "$real" | tee "$directory/.package"
