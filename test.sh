#!/usr/bin/env bash
# Installs what is missing, builds, and passes the tests. ctest's own summary is printed last.
#   ./test.sh           unit tests, guests (compared with QEMU), Linux boots; unit tests and hostile input
#                       under the sanitizers first, then each fuzzer for a minute
#   ./test.sh --quick   unit tests and guests of the release build only
#   ./test.sh --long    everything, the long test (a Debian system on a disk) included
set -euo pipefail
cd "$(dirname "$0")"

labels='unit|guest|linux|format' sanitize=yes
case ${1:-} in
  '') ;;
  --quick) labels='unit|guest' sanitize= ;;
  --long) labels='unit|guest|linux|format|long' ;;
  *) echo "usage: ./test.sh [--quick|--long]" >&2; exit 2 ;;
esac

jobs=$(nproc)
tools/install_dependencies.sh build run test peers
if [[ $sanitize ]]; then tools/install_dependencies.sh fuzz; fi
if command -v ccache >/dev/null; then export CMAKE_CXX_COMPILER_LAUNCHER=ccache; fi

# build PRESET [TARGET]
build() {
  local log=build/$1-build.log
  mkdir -p build
  echo "test.sh: building preset $1 (log in $log)"
  if ! { cmake --preset "$1" -DBUNSHIN_TESTS=ON && cmake --build --preset "$1" ${2:+--target "$2"}; } >"$log" 2>&1; then
    tail -60 "$log"
    echo "test.sh: the build of preset $1 failed"
    exit 1
  fi
}

# The sanitizers go first so that the last lines are those of the whole suite.
status=0
if [[ $sanitize ]]; then
  build asan
  export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
  ctest --test-dir build/asan --output-on-failure -j "$jobs" -L 'unit|hostile' || status=1
  unset ASAN_OPTIONS
  build fuzz bunshin_fuzzers
  ctest --test-dir build/fuzz --output-on-failure -j "$jobs" -L fuzz || status=1
fi
build release
ctest --test-dir build/release --output-on-failure -j "$jobs" -L "$labels" || status=1
if ((status)); then echo "test.sh: there were failures (above)"; fi
exit "$status"
