#!/usr/bin/env python3
"""Paging-structure entries read per page walk, on programs that miss every TLB, beside the published average.

Each of guests/tlb_bound's programs runs twice on each profile, the second time twice as long: the difference of the counts is
the program in its steady state, to the reference, for runs repeat exactly. 512 MiB of 4 KiB pages, four levels, bare metal or,
with --nested, in a virtual machine under nested tables of four levels and 4 KiB pages (guests/tlb_bound/nested.cpp).
The published figures are averages over other and larger programs: values to be near, not to be met.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parent.parent
PROGRAMS = ("gups", "join", "btree", "graph")
PROFILES = {"native": ("haswell", "skylake"), "virtualized": ("skylake", "zen3")}
# Park et al., "Every Walk's a Hit: Making Page Walks Single-Access Cache Hits", ASPLOS 2022, abstract: native, simulated.
PUBLISHED = {"native": 1.5, "virtualized": 4.4}
COUNTS = {"walks": "core0.timing.walks", "references": "core0.timing.walk_references", "cycles": "core0.timing.walk_cycles",
          "second level hits": "core0.timing.tlb.second_level_hits", "instructions": "sim.instructions"}
OFF = [f"{group}.{level}=0" for group in ("structure_caches", "second_stage.structure_caches")
       for level in ("pml5", "pml4", "pdpt", "pd")]
OFF += ["structure_caches.kind=translation", "second_stage.structure_caches.kind=translation",
        "second_stage.nested_tlb.entries=0"]


class Failure(Exception):
    """What the user is told, without a trace."""


def run(bunshin, guest, profile, program, timing, short, settings):
    with tempfile.TemporaryDirectory() as out:
        command = [bunshin, "run", SOURCE / "configs/experiment/multiboot.yaml", "--quiet", "--out", out,
                   "--set", f"include={SOURCE / 'configs/cpu' / profile}.yaml", "--set", f"guest.kernel={guest}",
                   "--set", f"guest.cmdline={program}{' short' if short else ''}", "--set", f"machine.timing={timing}",
                   "--set", "machine.memory=1GiB"]
        for setting in settings:
            command += ["--set", setting]
        process = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if process.returncode != 0:
            raise Failure(f"{program} on {profile}: status {process.returncode}\n{process.stderr.decode()[-2000:]}")
        stats = json.loads((pathlib.Path(out) / "stats.json").read_text())
        return {name: stats[key]["value"] for name, key in COUNTS.items()}


def measure(bunshin, guest, profile, program, timing, settings=()):
    """Counts of the program in its steady state."""
    brief, full = (run(bunshin, guest, profile, program, timing, short, settings) for short in (True, False))
    return {name: full[name] - brief[name] for name in COUNTS}


def per_walk(counts):
    if counts["walks"] == 0:
        raise Failure("no page walk was counted")
    return counts["references"] / counts["walks"]


def rows(arguments, profile):
    for program in arguments.programs:
        counts = measure(arguments.bunshin, arguments.guest, profile, program, arguments.timing)
        without = measure(arguments.bunshin, arguments.guest, profile, program, arguments.timing, OFF)
        yield {"profile": profile, "program": program, "references_per_walk": per_walk(counts),
               "without_structure_caches": per_walk(without), "cycles_per_walk": counts["cycles"] / counts["walks"],
               "walks_per_1000_instructions": 1000 * counts["walks"] / counts["instructions"], "walks": counts["walks"]}


def report(results, how):
    print(f"{'profile':<12}{'program':<9}{'references/walk':>16}{'without caches':>16}{'cycles/walk':>13}"
          f"{'walks/1000 instr.':>19}")
    for r in results:
        print(f"{r['profile']:<12}{r['program']:<9}{r['references_per_walk']:>16.2f}{r['without_structure_caches']:>16.2f}"
              f"{r['cycles_per_walk']:>13.1f}{r['walks_per_1000_instructions']:>19.1f}")
    print()
    for profile in dict.fromkeys(r["profile"] for r in results):
        own = [r["references_per_walk"] for r in results if r["profile"] == profile]
        print(f"{profile}: average {sum(own) / len(own):.2f}; published, {how}, other programs: {PUBLISHED[how]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bunshin", default=SOURCE / "build/release/bunshin")
    parser.add_argument("--guest", help="build/…/guests/tlb_bound; default: beside the simulator")
    parser.add_argument("--timing", choices=("inorder", "ooo"), default="ooo")
    parser.add_argument("--profiles", nargs="+", metavar="PROFILE")
    parser.add_argument("--nested", action="store_true", help="in a virtual machine")
    parser.add_argument("--programs", nargs="+", default=PROGRAMS, choices=PROGRAMS)
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    how = "virtualized" if arguments.nested else "native"
    arguments.profiles = arguments.profiles or PROFILES[how]
    guest = "tlb_bound_nested" if arguments.nested else "tlb_bound"
    arguments.guest = arguments.guest or pathlib.Path(arguments.bunshin).parent / "guests" / guest
    if not os.access(arguments.bunshin, os.X_OK) or not pathlib.Path(arguments.guest).exists():
        raise Failure(f"{arguments.bunshin} or {arguments.guest} is not built")
    results = [row for profile in arguments.profiles for row in rows(arguments, profile)]
    report(results, how)
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"references_per_walk: {failure}")
