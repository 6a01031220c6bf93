#!/usr/bin/env bash
# Makes a Debian system on a disk for a virtio-blk device, and what boots it:
#   DIRECTORY/debian.img         raw ext4, debootstrap's minimal system with systemd; root logs in without a password
#   DIRECTORY/disk-initramfs.img busybox and the kernel's modules for the disk; mounts it and hands over to systemd
#   DIRECTORY/vmlinuz-cloud      the kernel (command line: console=ttyS0)
#   tools/prepare_disk_image.sh [DIRECTORY]
# Needs root (debootstrap makes a root file system), debootstrap and mke2fs; no loop device.
# Exit status 3: packages cannot be downloaded here, or one of those is missing.
set -euo pipefail
tools=$(cd "$(dirname "$0")" && pwd)

output=${1:-$tools/../build/guests}
mkdir -p "$output"
output=$(cd "$output" && pwd)
PATH=$PATH:/usr/sbin:/sbin

unavailable() {
  echo "prepare_disk_image: $1" >&2
  exit 3
}

"$tools/prepare_linux.sh" --output "$output" >/dev/null

initramfs=$output/disk-initramfs.img
if [[ ! -f $initramfs || $tools/disk_init -nt $initramfs ]]; then
  root=$output/disk-initramfs
  rm -rf "$root"
  mkdir -p "$root"/{bin,dev,proc,sys,root,modules}
  cp "$output/busybox/bin/busybox" "$root/bin/busybox"
  install -m 755 "$tools/disk_init" "$root/init"
  number=100
  # ext4 names its checksum only as a soft dependency, so it is named here.
  "$tools/module_order.py" "$output/linux-cloud/lib/modules" virtio_pci virtio_blk crc32c_generic ext4 |
    while read -r module; do
      cp "$module" "$root/modules/$((number++))-${module##*/}"
    done
  "$tools/pack_initramfs.sh" "$root" "$initramfs"
fi

image=$output/debian.img
if [[ ! -f $image ]]; then
  command -v debootstrap >/dev/null || unavailable "debootstrap is missing (apt-get install debootstrap)"
  command -v mke2fs >/dev/null || unavailable "mke2fs is missing (apt-get install e2fsprogs)"
  ((EUID == 0)) || unavailable "debootstrap needs root; run it once with sudo"
  root=$output/debian-root
  rm -rf "$root"
  # The mirror that this host's own apt uses.
  mirror=$(apt-cache policy 2>/dev/null | sed -n 's/^ *[0-9]* \(http[^ ]*\) bookworm\/main amd64 Packages$/\1/p' | head -1)
  debootstrap --variant=minbase --include=systemd-sysv,udev,dbus bookworm "$root" ${mirror:+"$mirror"} \
    >"$output/debootstrap.log" 2>&1 || unavailable "debootstrap failed; see $output/debootstrap.log"
  echo bunshin >"$root/etc/hostname"
  echo "/dev/vda / ext4 defaults 0 1" >"$root/etc/fstab"
  sed -i 's/^root:[^:]*:/root::/' "$root/etc/shadow"
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
  mkdir -p "$root/etc/systemd/system/getty.target.wants"
  ln -sf /lib/systemd/system/serial-getty@.service \
    "$root/etc/systemd/system/getty.target.wants/serial-getty@ttyS0.service"
  # Nothing to fetch in a guest without a network.
  ln -sf /dev/null "$root/etc/systemd/system/apt-daily.timer"
  ln -sf /dev/null "$root/etc/systemd/system/apt-daily-upgrade.timer"
  rm -f "$image.part"
  mke2fs -q -t ext4 -L root -d "$root" "$image.part" 1G
  mv "$image.part" "$image"
  rm -rf "$root"
fi
echo "$output/vmlinuz-cloud $initramfs $image"
