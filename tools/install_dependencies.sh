#!/usr/bin/env bash
# Installs from Debian 12 whatever of the named groups is missing.   tools/install_dependencies.sh build run test
#   build  compiler, CMake and libraries     run  what packs a Linux guest     test  what the tests need besides
#   peers  what benchmarks/peers.sh measures against
#   fuzz   what preset fuzz needs     lint   the same and what .clang-tidy needs
set -euo pipefail

declare -A group=(
  [build]="g++ cmake ninja-build libsystemc-dev libboost-dev libboost-program-options-dev libfmt-dev
           libyaml-cpp-dev nlohmann-json3-dev libcapstone-dev acpica-tools"
  [run]="cpio python3"
  [test]="git patch gdb libgtest-dev libgmock-dev clang-format cpio python3 qemu-system-x86 debootstrap e2fsprogs"
  [peers]="python3 qemu-system-x86 bochs bochsbios vgabios"
  [fuzz]="clang-16 libclang-rt-16-dev"
  [lint]="clang-16 clang-tidy-16 libclang-rt-16-dev clang-format"
)

wanted=()
for name in "$@"; do
  [[ -n ${group[$name]:-} ]] || { echo "install_dependencies: unknown group '$name' (build, run, test, peers, fuzz, lint)" >&2; exit 2; }
  # Word splitting makes the list.
  # shellcheck disable=SC2206
  wanted+=(${group[$name]})
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "install_dependencies: this is not Debian; install by other means what corresponds to: ${wanted[*]}" >&2
  exit 1
fi

missing=()
for package in "${wanted[@]}"; do
  state=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
  [[ $state == ii* ]] || missing+=("$package")
done
((${#missing[@]})) || exit 0

echo "install_dependencies: installing ${missing[*]}"
if ((EUID == 0)); then
  as_root=(env)
elif command -v sudo >/dev/null; then
  as_root=(sudo)
else
  echo "install_dependencies: needs root or sudo. As root: apt-get install ${missing[*]}" >&2
  exit 1
fi
"${as_root[@]}" apt-get update -qq ||
  echo "install_dependencies: the package lists cannot be refreshed; trying with the ones here" >&2
if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
    >/dev/null; then
  echo "install_dependencies: apt-get could not install: ${missing[*]}" >&2
  exit 1
fi
