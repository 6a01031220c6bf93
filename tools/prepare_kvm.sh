#!/usr/bin/env bash
# Makes what configs/experiment/kvm-*.yaml boot, from Debian's packages, none of which is installed:
#   DIRECTORY/vmlinuz-FLAVOUR   the kernel, of the host and of its guests (tools/prepare_linux.sh)
#   DIRECTORY/kvm.img           initramfs of a host: busybox, KVM's modules, guests/kvm_launcher, tools/kvm_init, and the
#                               guest: the same kernel with the workload of tools/prepare_linux.sh
#   DIRECTORY/kvm-nested.img    the same, but the guest is such a host itself
#   tools/prepare_kvm.sh [--nested] [--flavour cloud|generic] [--output DIRECTORY]
# Prints the kernel and the initramfs. Exit status 3: the packages cannot be downloaded here.
set -euo pipefail
tools=$(cd "$(dirname "$0")" && pwd)

flavour=cloud nested= output=$tools/../build/guests
while (($#)); do
  case $1 in
    --nested) nested=1; shift ;;
    --flavour) flavour=$2; shift 2 ;;
    --output) output=$2; shift 2 ;;
    *) echo "prepare_kvm: unknown argument '$1'" >&2; exit 2 ;;
  esac
done
[[ $flavour == cloud || $flavour == generic ]] ||
  { echo "prepare_kvm: the flavour is cloud or generic, not '$flavour'" >&2; exit 2; }

mkdir -p "$output"
output=$(cd "$output" && pwd)
files=$("$tools/prepare_linux.sh" --flavour "$flavour" --output "$output")
read -r kernel workload <<<"$files"

launcher=$output/kvm_launcher
sources=$tools/../guests/kvm_launcher
if [[ ! -f $launcher || -n $(find "$sources" -newer "$launcher" -print -quit) ]]; then
  # Static, for any x86-64 processor: nothing else is in the initramfs.
  g++ -std=c++20 -O2 -Wall -Wextra -march=x86-64 -fno-exceptions -fno-rtti -static -s -pthread -I"$tools/.." \
    "$sources"/*.cpp -o "$launcher.part"
  mv "$launcher.part" "$launcher"
fi

suffix=
[[ $flavour == cloud ]] || suffix=-$flavour

# make_host FILE GUEST_INITRAMFS GUEST_MEMORY
make_host() {
  local image=$1 guest=$2 memory=$3 file
  local newest=$image
  if [[ -f $image ]]; then
    for file in "$kernel" "$guest" "$launcher" "$tools/kvm_init" "$tools/prepare_kvm.sh"; do
      [[ $file -nt $image ]] && newest=$file
    done
    [[ $newest != "$image" ]] || return 0
  fi
  local root=${image%.img}
  rm -rf "$root"
  mkdir -p "$root"/{bin,dev,proc,sys,tmp,modules,guest}
  cp "$output/busybox/bin/busybox" "$root/bin/busybox"
  cp "$launcher" "$root/bin/kvm_launcher"
  install -m 755 "$tools/kvm_init" "$root/init"
  # ccp only where the kernel has it as a module that kvm-amd needs.
  "$tools/module_order.py" "$output/linux-$flavour/lib/modules" kvm_intel kvm_amd | while read -r file; do
    strip --strip-debug "$file" -o "$root/modules/${file##*/}"
  done
  cp "$kernel" "$root/guest/vmlinuz"
  cp "$guest" "$root/guest/initrd.img"
  echo "$memory" >"$root/guest/memory"
  "$tools/pack_initramfs.sh" "$root" "$image"
  rm -rf "$root"
}

make_host "$output/kvm$suffix.img" "$workload" 256
[[ -z $nested ]] || make_host "$output/kvm-nested$suffix.img" "$output/kvm$suffix.img" 640
echo "$kernel $output/kvm${nested:+-nested}$suffix.img"
