#!/usr/bin/env python3
"""Cycles of an exit and the entry behind it, by cause and profile, beside published round trips.

guests/world_switch runs a virtual machine that does one thing over and over, and a hypervisor whose handler does nothing but
enter it again. The published column is table 1 of Agesen et al., "Software techniques for avoiding hardware virtualization
exits", USENIX ATC 2012; AMD's processors are not in it. With --check the status is 1 if a round trip of VMCALL or CPUID is more
than 5 % from it.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys

SOURCE = pathlib.Path(__file__).resolve().parent.parent
PUBLISHED = {"p4-672": 3963, "merom": 1579, "penryn": 1266, "nehalem": 1009, "westmere": 761, "sandy-bridge": 784}
PROFILES = (*PUBLISHED, "haswell", "skylake", "barcelona", "zen2", "zen3")
TOLERANCE = 0.05
HYPERCALLS = ("vmcall", "vmmcall")
COLUMNS = ("hypercall", "cpuid", "hlt", "in", "rdmsr", "write_cr3", "page_fault", "second_stage", "vmread", "vmwrite")


class Failure(Exception):
    """What the user is told, without a trace."""


def measure(bunshin, guest, profile, timing):
    """Cycles by cause."""
    command = [bunshin, "run", SOURCE / "configs/experiment/multiboot.yaml", "--quiet", "--timing", timing,
               "--set", f"include={SOURCE / 'configs/cpu' / profile}.yaml", "--set", f"guest.kernel={guest}",
               "--set", "machine.memory=256MiB"]
    process = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True, check=False)
    text = process.stdout.decode(errors="replace")
    if process.returncode != 0:
        raise Failure(f"{profile}: status {process.returncode}\n{text[-2000:]}{process.stderr.decode()[-2000:]}")
    cycles = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == "world_switch" and words[2].isdigit():
            cycles["hypercall" if words[1] in HYPERCALLS else words[1]] = int(words[2])
    if "hypercall" not in cycles or "cpuid" not in cycles:
        raise Failure(f"{profile}: the guest did not say what a round trip took\n{text[-2000:]}")
    return cycles


def report(results):
    print(f"{'profile':<14}" + "".join(f"{name:>13}" for name in COLUMNS) + f"{'published':>11}{'ratio':>7}")
    for profile, cycles in results.items():
        cells = "".join(f"{cycles.get(name, '-'):>13}" for name in COLUMNS)
        published = PUBLISHED.get(profile)
        rest = f"{published:>11}{cycles['hypercall'] / published:>7.3f}" if published else f"{'-':>11}{'-':>7}"
        print(f"{profile:<14}{cells}{rest}")


def misses(results):
    """Round trips that are not what was published."""
    for profile, cycles in results.items():
        for name in ("hypercall", "cpuid"):
            published = PUBLISHED.get(profile)
            if published and abs(cycles[name] / published - 1) > TOLERANCE:
                yield f"{profile}: {name} takes {cycles[name]} cycles, published are {published}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bunshin", default=SOURCE / "build/release/bunshin")
    parser.add_argument("--guest", help="build/…/guests/world_switch; default: beside the simulator")
    parser.add_argument("--timing", choices=("none", "inorder", "ooo"), default="ooo")
    parser.add_argument("--profiles", nargs="+", default=PROFILES, choices=PROFILES, metavar="PROFILE")
    parser.add_argument("--check", action="store_true", help="status 1 if a published round trip is missed by more than 5 %%")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    arguments.guest = arguments.guest or pathlib.Path(arguments.bunshin).parent / "guests/world_switch"
    if not os.access(arguments.bunshin, os.X_OK) or not pathlib.Path(arguments.guest).exists():
        raise Failure(f"{arguments.bunshin} or {arguments.guest} is not built")
    results = {p: measure(arguments.bunshin, arguments.guest, p, arguments.timing) for p in arguments.profiles}
    report(results)
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(results, indent=1) + "\n")
    found = list(misses(results)) if arguments.check else []
    for miss in found:
        print(miss, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"world_switch: {failure}")
