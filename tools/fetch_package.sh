#!/usr/bin/env bash
# Unpacks a Debian package without installing it.   tools/fetch_package.sh PACKAGE DIRECTORY
# A package that only depends on a versioned one (linux-image-cloud-amd64) is followed to it. Downloads are kept beside
# DIRECTORY. The unpacked package's name is printed. Exit status 3: it cannot be downloaded here.
set -euo pipefail

package=$1 directory=$2
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
if ! apt-cache show "$package" >/dev/null 2>&1; then
  update=(apt-get)
  ((EUID == 0)) || update=(sudo -n apt-get)
  "${update[@]}" update -qq >/dev/null 2>&1 || true
fi
real=$package
if [[ $package == linux-image-* ]]; then
  real=$(apt-cache depends "$package" 2>/dev/null |
    sed -n 's/^ *Depends: *\(linux-image-[0-9][^ ]*\)$/\1/p' | head -1) || real=
fi
[[ -n $real ]] || unavailable "the package lists do not know it (no network, or not Debian)"

mkdir -p "$directory"
downloads=$(cd "$directory/.." && pwd)/packages
mkdir -p "$downloads"
if ! compgen -G "$downloads/${real}_*.deb" >/dev/null; then
  # apt's own sandbox user may be unable to enter the directory.
  (cd "$downloads" && apt-get -o APT::Sandbox::User=root download "$real" >/dev/null 2>&1) ||
    unavailable "apt-get download $real failed (no network?)"
fi
deb=$(compgen -G "$downloads/${real}_*.deb" | sort -V | tail -1)
if ! dpkg-deb -x "$deb" "$directory"; then
  rm -f "$deb"
  unavailable "${deb##*/} was damaged; try again"
fi
echo "$real" | tee "$directory/.package"
