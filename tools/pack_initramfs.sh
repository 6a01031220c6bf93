#!/usr/bin/env bash
# Packs a directory as an initramfs, the same bytes for the same files: fixed times, owners and order. Not compressed:
# the guest would only spend simulated time on unpacking.   tools/pack_initramfs.sh DIRECTORY FILE
set -euo pipefail

directory=$1 file=$2
find "$directory" -exec touch --no-dereference --date=@1704067200 {} +
(cd "$directory" && find . -mindepth 1 | LC_ALL=C sort |
  cpio --quiet --create --format=newc --reproducible --owner=0:0) >"$file.part"
mv "$file.part" "$file"
