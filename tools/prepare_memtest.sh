#!/usr/bin/env bash
# Makes DIRECTORY/memtest.bin, a kernel in Linux's boot format, from the distribution's memtest86+ package.
#   tools/prepare_memtest.sh [DIRECTORY]       Exit status 3: the package cannot be downloaded here.
set -euo pipefail
tools=$(cd "$(dirname "$0")" && pwd)

output=${1:-$tools/../build/guests}
mkdir -p "$output"
output=$(cd "$output" && pwd)
if [[ ! -f $output/memtest.bin ]]; then
  "$tools/fetch_package.sh" memtest86+ "$output/memtest" >/dev/null
  image=$(find "$output/memtest/boot" -name 'memtest86+x64.bin' -o -name 'mt86+x64' | sort | head -1)
  [[ -n $image ]] || { echo "prepare_memtest: the package holds no 64-bit image" >&2; exit 3; }
  cp "$image" "$output/memtest.bin.part"
  mv "$output/memtest.bin.part" "$output/memtest.bin"
fi
echo "$output/memtest.bin"
