#!/usr/bin/env bash
# The microbenchmarks of guests/micro on this machine's own processor and on the simulated one, side by side: installs what
# is missing, builds both, measures.   benchmarks/hardware.sh [OPTIONS of benchmarks/hardware.py; --help lists them]
set -euo pipefail
cd "$(dirname "$0")/.."

case " $* " in *" -h "* | *" --help "*) exec python3 benchmarks/hardware.py --help ;; esac

tools/install_dependencies.sh build run
if command -v ccache >/dev/null; then export CMAKE_CXX_COMPILER_LAUNCHER=ccache; fi
log=build/hardware-build.log
mkdir -p build
echo "hardware.sh: building preset release (log in $log)"
tests=()
[[ -f build/release/CMakeCache.txt ]] || tests=(-DBUNSHIN_TESTS=OFF)
if ! { cmake --preset release "${tests[@]}" &&
    cmake --build --preset release --target bunshin guest_image_micro micro_host; } >"$log" 2>&1; then
  tail -40 "$log"
  echo "hardware.sh: the build failed" >&2
  exit 1
fi
exec python3 benchmarks/hardware.py "$@"
