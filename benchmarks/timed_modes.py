#!/usr/bin/env python3
"""What the timed modes cost this host: the speed of `inorder` and `ooo` as a share of the functional one, in guest
instructions per CPU second, on the `mix` guest and on the boot of run.sh's Linux; and, with --before, the functional speed
itself beside that of an older build. Modes take turns, so that a disturbance of the machine touches all of them."""

import argparse
import json
import pathlib
import statistics
import sys
import tempfile

import boot

SOURCE = pathlib.Path(__file__).resolve().parent.parent
MODES = ("none", "inorder", "ooo")
# What is asked of the modes: the share of the functional speed that they must reach.
FLOORS = {"inorder": 0.4, "ooo": 0.15}


def measure(executable, mode, settings, config):
    """Guest instructions per second of CPU time, of the whole process."""
    with tempfile.TemporaryDirectory() as out:
        command = [executable, "run", SOURCE / "configs/experiment" / config, "--quiet", "--timing", mode, "--out", out]
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
        _console, seconds, _peak = boot.finish(command, 1800)
        stats = json.loads((pathlib.Path(out) / "stats.json").read_text())
    return stats["sim.instructions"]["value"] / seconds


def workloads(executable, skip_boot):
    guest = pathlib.Path(executable).resolve().parent / "guests/bench_mix"
    found = [("mix", "multiboot.yaml", {"guest.kernel": guest})]
    if skip_boot:
        return found
    images, reason = boot.prepare()
    if images is None:
        print(f"linux: left out: {reason}")
        return found
    kernel, initramfs = images[:2]
    return found + [("linux", "linux.yaml", {"guest.kernel": kernel, "guest.initrd": initramfs,
                                            "guest.cmdline": boot.CMDLINE})]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bunshin", default=SOURCE / "build/release/bunshin", help="the simulator (default: %(default)s)")
    parser.add_argument("--before", help="another build of it, to compare the functional speed with")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--skip-boot", action="store_true")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    runs = [(mode, options.bunshin, mode) for mode in MODES]
    if options.before:
        runs.insert(0, ("before", options.before, "none"))
    results = []
    for name, config, settings in workloads(options.bunshin, options.skip_boot):
        speeds = {label: [] for label, _, _ in runs}
        for _ in range(options.repetitions):
            for label, executable, mode in runs:
                speeds[label].append(measure(executable, mode, settings, config))
                print(f"  {name} {label}: {speeds[label][-1] / 1e6:.1f} MIPS", file=sys.stderr)
        median = {label: statistics.median(values) for label, values in speeds.items()}
        print(f"{name:8}{'MIPS':>8}{'of none':>9}{'floor':>7}")
        for label, value in median.items():
            share = value / median["none"]
            floor = FLOORS.get(label)
            verdict = "" if floor is None else f"{floor:7.2f}  {'PASS' if share >= floor else 'MISS'}"
            print(f"{label:8}{value / 1e6:8.1f}{share:9.3f}{verdict}")
            results.append({"guest": name, "mode": label, "mips": value / 1e6, "share": share})
        if options.before:
            print(f"functional speed, now to before: {median['none'] / median['before']:.3f}")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    try:
        main()
    except boot.Failure as failure:
        sys.exit(f"timed_modes.py: {failure}")
