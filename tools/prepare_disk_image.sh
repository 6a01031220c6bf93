#!/usr/bin/env bash
# Makes a Debian system on a disk for a virtio-blk device, and what boots it:
#   DIRECTORY/debian.img         raw ext4, debootstrap's minimal system with systemd; root logs in without a password
#   DIRECTORY/disk-initramfs.img busybox and the kernel's modules for the disk; mounts it and hands over to systemd
#   DIRECTORY/vmlinuz-cloud      the kernel (command line: console=ttyS0)
#   tools/prepare_disk_image.sh [--qemu] [DIRECTORY]
# With --qemu the disk is DIRECTORY/debian-qemu.img, which has QEMU and KVM's modules too: a service (tools/qemu_guest)
# boots a guest with them, the same kernel with the workload of tools/prepare_linux.sh, and powers off.
# Needs root (debootstrap makes a root file system), debootstrap and mke2fs; no loop device.
# Exit status 3: packages cannot be downloaded here, or one of those is missing.
set -euo pipefail
tools=$(cd "$(dirname "$0")" && pwd)

with_qemu=
if [[ ${1:-} == --qemu ]]; then
  with_qemu=1
  shift
fi
output=${1:-$tools/../build/guests}
mkdir -p "$output"
output=$(cd "$output" && pwd)
PATH=$PATH:/usr/sbin:/sbin

unavailable() {
  echo "prepare_disk_image: $1" >&2
  exit 3
}

"$tools/prepare_linux.sh" --output "$output" >/dev/null

# Puts the guest, KVM's modules and the service into a root file system.
install_qemu_guest() {
  local root=$1 directory=$1/usr/local/lib/qemu-guest module
  mkdir -p "$directory"
  "$tools/module_order.py" "$output/linux-cloud/lib/modules" kvm_intel kvm_amd | while read -r module; do
    cp "$module" "$directory/"
  done
  cp "$output/vmlinuz-cloud" "$directory/vmlinuz"
  cp "$output/initramfs.img" "$directory/initrd.img"
  install -m 755 "$tools/qemu_guest" "$root/usr/local/sbin/qemu_guest"
  cat >"$root/etc/systemd/system/qemu-guest.service" <<'UNIT'
[Unit]
Description=A guest of QEMU with KVM
After=multi-user.target
SuccessAction=poweroff
FailureAction=poweroff

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/qemu_guest
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
TimeoutStartSec=infinity

[Install]
WantedBy=multi-user.target
UNIT
  ln -sf ../qemu-guest.service "$root/etc/systemd/system/multi-user.target.wants/qemu-guest.service"
}

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

image=$output/debian.img root=$output/debian-root packages=systemd-sysv,udev,dbus size=1G
if [[ -n $with_qemu ]]; then
  image=$output/debian-qemu.img root=$output/debian-qemu-root packages+=,kmod,qemu-system-x86 size=1536M
fi
if [[ ! -f $image || (-n $with_qemu && $tools/qemu_guest -nt $image) ]]; then
  command -v debootstrap >/dev/null || unavailable "debootstrap is missing (apt-get install debootstrap)"
  command -v mke2fs >/dev/null || unavailable "mke2fs is missing (apt-get install e2fsprogs)"
  ((EUID == 0)) || unavailable "debootstrap needs root; run it once with sudo"
  rm -rf "$root"
  # The mirror that this host's own apt uses.
  mirror=$(apt-cache policy 2>/dev/null | sed -n 's/^ *[0-9]* \(http[^ ]*\) bookworm\/main amd64 Packages$/\1/p' | head -1)
  debootstrap --variant=minbase --include="$packages" bookworm "$root" ${mirror:+"$mirror"} \
    >"${image%.img}.log" 2>&1 || unavailable "debootstrap failed; see ${image%.img}.log"
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
  [[ -z $with_qemu ]] || install_qemu_guest "$root"
  rm -f "$image.part"
  mke2fs -q -t ext4 -L root -d "$root" "$image.part" "$size"
  mv "$image.part" "$image"
  rm -rf "$root"
fi
echo "$output/vmlinuz-cloud $initramfs $image"
