#!/usr/bin/env bash
# Installs what is missing, builds Bunshin, boots Debian's kernel on it with a small workload, and then compares how the
# hypervisor's ways of paging do with the lab kernel and with Debian's.
#   ./run.sh           the whole demonstration; results also in build/run/
#   ./run.sh ARGS...   after building, runs `bunshin ARGS...` instead, for example ./run.sh run configs/... --set ...
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
caller=$PWD
cd "$here"

say() { printf 'run.sh: %s\n' "$*" >&2; }

build() {
  tools/install_dependencies.sh build >&2 || say "going on with what is here"
  if command -v ccache >/dev/null; then export CMAKE_CXX_COMPILER_LAUNCHER=ccache; fi
  local log=build/run-build.log
  mkdir -p build
  [[ -x build/release/bunshin ]] || say "building (a few minutes the first time; log in $log)"
  # Only run's own targets: a machine that only runs needs no test libraries. A configured directory keeps its setting.
  local tests=()
  [[ -f build/release/CMakeCache.txt ]] || tests=(-DBUNSHIN_TESTS=OFF)
  if ! { cmake --preset release "${tests[@]}" && cmake --build --preset release --target bunshin bunshin_guests \
      bunshin_vmm_image; } >"$log" 2>&1; then
    tail -40 "$log" >&2
    say "the build failed; see $log"
    exit 2
  fi
}

summary() {
  python3 - "$1" <<'PYTHON'
import json, sys

stats = {name: entry["value"] for name, entry in json.load(open(sys.argv[1] + "/stats.json")).items()}
rows = [
    ("how it ended", f'{stats["sim.end_reason"]}, exit status {stats["sim.exit_status"]}'),
    ("simulated", f'{stats["sim.cycles"]:,} cycles, {stats["sim.instructions"]:,} instructions'),
    ("on this host", f'{stats["sim.host_seconds"]:.1f} s, {stats["sim.mips"]:.1f} million instructions/s'),
    ("final state", f'hash {stats["sim.state_hash"]}'),
    ("files", f"{sys.argv[1]}/: console.log, stats.json, run.yaml, report.html"),
]
if "sim.seconds" in stats:
    rows[1] = (rows[1][0], f'{stats["sim.seconds"]:.3f} s of guest time, {rows[1][1]}')
print()
for name, value in rows:
    print(f"  {name:14}{value}")
PYTHON
}

build
if (($#)); then
  cd "$caller"
  exec "$here/build/release/bunshin" "$@"
fi

out=build/run
rm -f "$out/stats.json"
tools/install_dependencies.sh run >&2 || say "going on with what is here"
if files=$(tools/prepare_linux.sh); then
  read -r kernel initramfs <<<"$files"
  say "booting Debian's ${kernel##*/} on the simulated machine"
  arguments=(configs/experiment/linux.yaml --set "guest.kernel=$kernel" --set "guest.initrd=$initramfs")
  expected="bunshin: workload done"
else
  say "Debian's kernel cannot be had here (see above): a guest of our own runs instead"
  arguments=(configs/experiment/multiboot.yaml --set guest.kernel=build/release/guests/selftest)
  expected="selftest: all passed"
fi

status=0
build/release/bunshin run "${arguments[@]}" --out "$out" || status=$?
[[ -f $out/stats.json ]] && summary "$out"
if ((status == 0)) && ! grep -aq "$expected" "$out/console.log"; then
  say "the guest ended without printing \"$expected\""
  status=1
fi

# compare NAME ARGUMENTS...: one guest in each mode of configs/experiment/paging-modes.yaml
compare() {
  local name=$1
  shift
  build/release/bunshin compare configs/experiment/paging-modes.yaml "$@" --out "$out/$name" --json "$out/$name.json" ||
    { say "the comparison $name failed"; status=1; }
}

say "the lab kernel's nanobenchmarks, natively and under the hypervisor in each mode, timed (a minute or less)"
echo
compare lab --set guest.kernel=build/release/guests/lab --set guest.initrd= --timing ooo
if [[ -n ${kernel-} ]]; then
  say "Debian's kernel in the same modes, timed (a few minutes)"
  echo
  compare debian --set "guest.kernel=$kernel" --set "guest.initrd=$initramfs" --timing inorder
else
  say "Debian's kernel could not be had: this was the lab kernel alone"
fi
exit "$status"
