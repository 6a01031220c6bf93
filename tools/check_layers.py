#!/usr/bin/env python3
"""Holds every C++ source file to the one direction of includes in docs/architecture.md.

A file includes only its own top-level folder or one further right in `LAYERS`; SystemC and TLM headers are for
devices/tlm, sim and the tests of these. Prints each offence as file:line and exits with 1 if there is one.
"""

import pathlib
import re
import sys

LAYERS = ["sim", "vmm-model", "core", "devices", "mmu", "base"]
SYSTEMC_FOLDERS = ("sim", "devices/tlm", "tests/sim", "tests/devices")
SYSTEMC_HEADERS = re.compile(r"^(systemc|tlm|tlm_utils/.*|sysc/.*|tlm_core/.*|systemc\.h|tlm\.h)$")
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')
SUFFIXES = {".h", ".hpp", ".cpp", ".cc", ".inc"}


def offences_in(path, text):
    """Yields (line, message) for `text`, the contents of the file at `path` (relative to the root, with slashes)."""
    folder = path.split("/")[0]
    may_use_systemc = any(path.startswith(allowed + "/") for allowed in SYSTEMC_FOLDERS)
    for number, line in enumerate(text.splitlines(), start=1):
        match = INCLUDE.match(line)
        if not match:
            continue
        quoted, bracketed = match.groups()
        name = quoted or bracketed
        if SYSTEMC_HEADERS.match(name) and not may_use_systemc:
            yield number, f"includes <{name}>: SystemC begins at devices/tlm and sim"
        # A generated table has no folder: it lies in the build directory of the one that includes it.
        if quoted and folder in LAYERS and not re.fullmatch(r"\w+\.hex", name):
            target = name.split("/")[0]
            if "/" not in name or target not in LAYERS:
                yield number, f'includes "{name}": name headers from the root, as "folder/file.h"'
            elif LAYERS.index(target) < LAYERS.index(folder):
                yield number, f'includes "{name}": {target} lies left of {folder} in {" -> ".join(LAYERS)}'


def offences(root):
    for folder in LAYERS + ["tests", "guests", "benchmarks"]:
        for file in sorted((root / folder).rglob("*")):
            if file.suffix in SUFFIXES:
                path = file.relative_to(root).as_posix()
                for number, message in offences_in(path, file.read_text(errors="replace")):
                    yield f"{path}:{number}: {message}"


def main(arguments):
    root = pathlib.Path(arguments[0] if arguments else pathlib.Path(__file__).parent.parent)
    found = list(offences(root))
    print("\n".join(found) if found else "every include points the right way")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
