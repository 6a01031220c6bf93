#!/usr/bin/env bash
# The simulator's speed beside QEMU's interpreter and Debian's Bochs, on the benchmark guests: installs what is missing,
# builds, measures.   benchmarks/peers.sh [OPTIONS of benchmarks/peers.py; --help lists them]
set -euo pipefail
cd "$(dirname "$0")/.."

case " $* " in *" -h "* | *" --help "*) exec python3 benchmarks/peers.py --help ;; esac

tools/install_dependencies.sh build run peers
if command -v ccache >/dev/null; then export CMAKE_CXX_COMPILER_LAUNCHER=ccache; fi
log=build/peers-build.log
mkdir -p build
echo "peers.sh: building preset release (log in $log)"
# Measuring needs no test libraries. A configured directory keeps its setting.
tests=()
[[ -f build/release/CMakeCache.txt ]] || tests=(-DBUNSHIN_TESTS=OFF)
if ! { cmake --preset release "${tests[@]}" && cmake --build --preset release --target bunshin bunshin_guests; } \
    >"$log" 2>&1; then
  tail -40 "$log"
  echo "peers.sh: the build failed" >&2
  exit 1
fi
exec python3 benchmarks/peers.py "$@"
