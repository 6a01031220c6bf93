#!/usr/bin/env bash
# Checks (or with --fix makes) the layout of the tracked C++ sources. Exit status 77: clang-format is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

formatter=$(command -v clang-format-14 || command -v clang-format || true)
if [[ -z $formatter ]]; then
  echo "check_format: clang-format is not installed (apt-get install clang-format)"
  exit 77
fi
if ! "$formatter" --version | grep -q 'version 14\.'; then
  echo "check_format: needs clang-format 14, as Debian 12 ships it; found $("$formatter" --version)"
  exit 77
fi

mapfile -t files < <(git ls-files '*.cpp' '*.h')
if [[ ${1:-} == --fix ]]; then
  "$formatter" -i "${files[@]}"
else
  "$formatter" --dry-run --Werror "${files[@]}"
  echo "check_format: ${#files[@]} files are laid out as .clang-format says"
fi
