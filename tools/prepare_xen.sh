#!/usr/bin/env bash
# Makes what configs/experiment/xen-*.yaml boot, from Debian's packages, none of which is installed:
#   DIRECTORY/xen               the hypervisor of xen-hypervisor-*-amd64, unpacked (a Multiboot kernel)
#   DIRECTORY/vmlinuz-generic   the control domain's kernel (linux-image-amd64)
#   DIRECTORY/xen-dom0.img      its initramfs: busybox, xl and Xen's daemons with their libraries, tools/xen_init, and a
#                               PVH guest: linux-image-cloud-amd64 with the workload of tools/prepare_linux.sh
#   tools/prepare_xen.sh [DIRECTORY]
# Prints the three files. Exit status 3: the packages cannot be downloaded here.
set -euo pipefail
tools=$(cd "$(dirname "$0")" && pwd)

output=${1:-$tools/../build/guests}
mkdir -p "$output"
output=$(cd "$output" && pwd)
packages=$output/xen-packages
mkdir -p "$packages"

files=$("$tools/prepare_linux.sh" --flavour generic --output "$output")
read -r dom0_kernel workload <<<"$files"
files=$("$tools/prepare_linux.sh" --flavour cloud --output "$output")
read -r guest_kernel _ <<<"$files"

depends() { apt-cache depends "$@" 2>/dev/null; }

# The versioned packages that xen-system-amd64 stands for, and the libraries of the programs in them.
if [[ ! -f $packages/.complete ]]; then
  "$tools/fetch_package.sh" xen-system-amd64 "$packages/xen-system-amd64" >/dev/null
  hypervisor=$(depends xen-system-amd64 | sed -n 's/^ *|*Depends: *\(xen-hypervisor-[0-9].*\)$/\1/p' | head -1)
  version=${hypervisor#xen-hypervisor-}
  version=${version%-amd64}
  libraries=$(depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances \
    "libxenmisc$version" libyajl2 | grep '^lib[a-z0-9.+-]*$\|^zlib1g$' | sort -u)
  for package in "$hypervisor" "xen-utils-$version" xenstore-utils $libraries; do
    "$tools/fetch_package.sh" "$package" "$packages/$package" >/dev/null
  done
  touch "$packages/.complete"
fi

hypervisor=$output/xen
if [[ ! -f $hypervisor ]]; then
  gzip -dc "$packages"/xen-hypervisor-*/boot/xen-*-amd64.gz >"$hypervisor.part"
  mv "$hypervisor.part" "$hypervisor"
fi

# copy_with_libraries FILE DESTINATION: the file, and into /lib of the root whatever it names as needed.
copy_with_libraries() {
  local file=$1 destination=$2 needed library
  [[ ! -e $destination ]] || return 0
  cp -L "$file" "$destination"
  needed=$(readelf -d "$file" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
  for library in $needed; do
    file=$(find "$packages" -name "$library" | sort | head -1)
    [[ -n $file ]] || { echo "prepare_xen: no package has $library" >&2; exit 1; }
    copy_with_libraries "$file" "$root/lib/$library"
  done
}

image=$output/xen-dom0.img
newest=$image
if [[ -f $image ]]; then
  for file in "$dom0_kernel" "$guest_kernel" "$workload" "$tools/xen_init" "$tools/prepare_xen.sh"; do
    [[ $file -nt $image ]] && newest=$file
  done
fi
if [[ ! -f $image || $newest != "$image" ]]; then
  root=$output/xen-dom0
  rm -rf "$root"
  programs=$(dirname "$packages"/xen-utils-*/usr/lib/xen-*/bin/xl)
  installed=/${programs#"$packages"/*/}
  mkdir -p "$root"/{bin,dev,proc,sys,tmp,var,lib64,modules,guest,etc/xen,lib} "$root$installed"
  cp "$output/busybox/bin/busybox" "$root/bin/busybox"
  install -m 755 "$tools/xen_init" "$root/init"
  for program in xl xenstored xenconsoled xenconsole xen-init-dom0; do
    copy_with_libraries "$programs/$program" "$root$installed/$program"
  done
  ln -s "$(basename "$(dirname "$installed")")" "$root/usr/lib/xen"
  cp -L "$(find "$packages/libc6" -name ld-linux-x86-64.so.2 | head -1)" "$root/lib64/"
  # Not named as needed: the C library opens it when a thread is cancelled.
  cp -L "$(find "$packages/libgcc-s1" -name libgcc_s.so.1 | head -1)" "$root/lib/"
  # The loader looks into the directory of the architecture first and /lib after it.
  number=100
  "$tools/module_order.py" "$output/linux-generic/lib/modules" xen_evtchn xen_gntdev xen_gntalloc xen_privcmd xenfs |
    while read -r file; do
      strip --strip-debug "$file" -o "$root/modules/$((number++))-${file##*/}"
    done
  echo 'autoballoon="off"' >"$root/etc/xen/xl.conf"
  cat >"$root/guest/guest.cfg" <<'CONFIGURATION'
type = "pvh"
name = "pvh"
kernel = "/guest/vmlinuz"
ramdisk = "/guest/initrd.img"
extra = "console=hvc0 panic=-1"
memory = 192
vcpus = 1
on_crash = "destroy"
on_reboot = "destroy"
CONFIGURATION
  cp "$guest_kernel" "$root/guest/vmlinuz"
  cp "$workload" "$root/guest/initrd.img"
  "$tools/pack_initramfs.sh" "$root" "$image"
  rm -rf "$root"
fi
echo "$hypervisor $dom0_kernel $image"
