#!/usr/bin/env bash
# Makes what configs/experiment/linux.yaml boots, from the distribution's packages, none of which is installed:
#   DIRECTORY/vmlinuz-FLAVOUR   the kernel of linux-image-cloud-amd64, linux-image-amd64, linux-image-rt-amd64, or (i386)
#                               linux-image-686, linux-image-686-pae
#   DIRECTORY/initramfs.img     busybox and tools/initramfs_init, which runs a small workload and powers off
#   tools/prepare_linux.sh [--flavour cloud|generic|rt|686|686-pae] [--load shell|threads|disk] [--output DIRECTORY]
# 686 and 686-pae are for 32-bit processors, with an initramfs of its own.
# --load threads names DIRECTORY/threads.img instead, whose only program is guests/linux/threads.c; --load disk names
# DIRECTORY/disk-check.img, which reads and writes a virtio disk (tools/disk_check_init).
# Exit status 3: the packages cannot be downloaded here.
set -euo pipefail
tools=$(cd "$(dirname "$0")" && pwd)

flavour=cloud load=shell architecture= output=$tools/../build/guests
while (($#)); do
  case $1 in
    --flavour) flavour=$2; shift 2 ;;
    --load) load=$2; shift 2 ;;
    --output) output=$2; shift 2 ;;
    *) echo "prepare_linux: unknown argument '$1'" >&2; exit 2 ;;
  esac
done
case $flavour in
  cloud) package=linux-image-cloud-amd64 ;;
  generic) package=linux-image-amd64 ;;
  rt) package=linux-image-rt-amd64 ;;
  686 | 686-pae) package=linux-image-$flavour architecture=i386 ;;
  *) echo "prepare_linux: the flavour is cloud, generic, rt, 686 or 686-pae, not '$flavour'" >&2; exit 2 ;;
esac

case $load in
  shell | threads | disk) ;;
  *) echo "prepare_linux: the load is shell, threads or disk, not '$load'" >&2; exit 2 ;;
esac

mkdir -p "$output"
output=$(cd "$output" && pwd)

kernel=$output/vmlinuz-$flavour
if [[ ! -f $kernel ]]; then
  "$tools/fetch_package.sh" "$package" "$output/linux-$flavour" $architecture >/dev/null
  cp "$output/linux-$flavour"/boot/vmlinuz-* "$kernel.part"
  mv "$kernel.part" "$kernel"
fi

if [[ $load == threads ]]; then
  program=$tools/../guests/linux/threads.c initramfs=$output/threads.img
  if [[ ! -f $initramfs || $program -nt $initramfs ]]; then
    root=$output/threads
    rm -rf "$root"
    mkdir -p "$root/dev"
    # Static: nothing else is in this initramfs. For any x86-64 processor.
    gcc -std=gnu17 -O2 -Wall -Wextra -march=x86-64 -static -pthread -s "$program" -o "$root/init"
    "$tools/pack_initramfs.sh" "$root" "$initramfs"
  fi
  echo "$kernel $initramfs"
  exit 0
fi

suffix=${architecture:+-$architecture}
initramfs=$output/initramfs$suffix.img
if [[ ! -f $initramfs || $tools/initramfs_init -nt $initramfs ]]; then
  "$tools/fetch_package.sh" busybox-static "$output/busybox$suffix" $architecture >/dev/null
  root=$output/initramfs$suffix
  rm -rf "$root"
  mkdir -p "$root"/{bin,dev,proc,sys,tmp}
  cp "$output/busybox$suffix/bin/busybox" "$root/bin/busybox"
  install -m 755 "$tools/initramfs_init" "$root/init"
  "$tools/pack_initramfs.sh" "$root" "$initramfs"
fi

if [[ $load == disk ]]; then
  root=$output/disk-check initramfs=$output/disk-check.img
  if [[ ! -f $initramfs || $tools/disk_check_init -nt $initramfs ]]; then
    rm -rf "$root"
    mkdir -p "$root"/{bin,dev,modules,proc,sys}
    cp "$output/busybox$suffix/bin/busybox" "$root/bin/busybox"
    install -m 755 "$tools/disk_check_init" "$root/init"
    number=100
    "$tools/module_order.py" "$output/linux-$flavour/lib/modules" virtio_pci virtio_blk | while read -r module; do
      cp "$module" "$root/modules/$number-$(basename "$module")"
      number=$((number + 1))
    done
    "$tools/pack_initramfs.sh" "$root" "$initramfs"
  fi
fi
echo "$kernel $initramfs"
