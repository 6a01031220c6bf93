#!/usr/bin/env bash
# Makes what configs/experiment/linux.yaml boots, from the distribution's packages, none of which is installed:
#   DIRECTORY/vmlinuz-FLAVOUR   the kernel of linux-image-cloud-amd64 or linux-image-amd64
#   DIRECTORY/initramfs.img     busybox and tools/initramfs_init, which runs a small workload and powers off
#   tools/prepare_linux.sh [--flavour cloud|generic] [--output DIRECTORY]
# Exit status 3: the packages cannot be downloaded here.
set -euo pipefail
tools=$(cd "$(dirname "$0")" && pwd)

flavour=cloud output=$tools/../build/guests
while (($#)); do
  case $1 in
    --flavour) flavour=$2; shift 2 ;;
    --output) output=$2; shift 2 ;;
    *) echo "prepare_linux: unknown argument '$1'" >&2; exit 2 ;;
  esac
done
case $flavour in
  cloud) package=linux-image-cloud-amd64 ;;
  generic) package=linux-image-amd64 ;;
  *) echo "prepare_linux: the flavour is cloud or generic, not '$flavour'" >&2; exit 2 ;;
esac

mkdir -p "$output"
output=$(cd "$output" && pwd)

kernel=$output/vmlinuz-$flavour
if [[ ! -f $kernel ]]; then
  "$tools/fetch_package.sh" "$package" "$output/linux-$flavour" >/dev/null
  cp "$output/linux-$flavour"/boot/vmlinuz-* "$kernel.part"
  mv "$kernel.part" "$kernel"
fi

initramfs=$output/initramfs.img
if [[ ! -f $initramfs || $tools/initramfs_init -nt $initramfs ]]; then
  "$tools/fetch_package.sh" busybox-static "$output/busybox" >/dev/null
  root=$output/initramfs
  rm -rf "$root"
  mkdir -p "$root"/{bin,dev,proc,sys,tmp}
  cp "$output/busybox/bin/busybox" "$root/bin/busybox"
  install -m 755 "$tools/initramfs_init" "$root/init"
  "$tools/pack_initramfs.sh" "$root" "$initramfs"
fi
echo "$kernel $initramfs"
