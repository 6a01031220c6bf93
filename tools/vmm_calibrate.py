#!/usr/bin/env python3
"""Measures what the hypervisor's own computing takes on a processor, for the hosted binding (docs/hypervisor.md).

    tools/vmm_calibrate.py CONFIG... [--set KEY=VALUE]... [--timing MODE]... [--paging MODE]... [--out FILE]

Each experiment runs under the image that boots (`--vmm bare`) and under the hosted hypervisor with all costs zero. What the
first took longer, by way of paging and kind of exit, is its computing: the mean goes to the exit. With several experiments, least
squares over them give each reference to memory and each line copied a share of its own. The table is written as a fragment of a
configuration; then each experiment is run with it, and its cycles are printed beside the bare run's.
"""

import argparse
import collections
import json
import os
import pathlib
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parents[1]
MODES = ("none", "inorder", "ooo")
PAGING = ("nested", "vtlb", "shadow")
# How many exits of a kind a run must have had for its mean to say something.
FEW = 1


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("configs", nargs="+", metavar="CONFIG", help="an experiment: what runs as the guest")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as `bunshin run` has it")
    parser.add_argument("--timing", action="append", choices=MODES, help="only this timing; may be repeated")
    parser.add_argument("--paging", action="append", choices=PAGING, help="only this way of paging; may be repeated")
    parser.add_argument("--bunshin", default=os.environ.get("BUNSHIN", str(SOURCE / "build/release/bunshin")))
    parser.add_argument("--out", help="the file to write; standard output if not given")
    return parser.parse_args()


def run(arguments, config, timing, paging, binding, settings):
    """The statistics of one run."""
    with tempfile.TemporaryDirectory() as directory:
        command = [arguments.bunshin, "run", config, "--quiet", "--vmm", binding, "--timing", timing, "--out", directory]
        for setting in arguments.set + [f"vmm.paging={paging}"] + settings:
            command += ["--set", setting]
        process = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        stats = pathlib.Path(directory) / "stats.json"
        if process.returncode != 0 or not stats.exists():
            sys.exit(f"{' '.join(command)}\nended with status {process.returncode}:\n"
                     f"{process.stderr.decode(errors='replace')}")
        return {name: entry["value"] for name, entry in json.loads(stats.read_text()).items()}


def zero(timing):
    return [f"vmm.costs.{timing}="]


class Measured:
    """One run: cycles by what they were spent for."""

    def __init__(self, stats):
        self.total = stats["sim.cycles"]
        self.exits = collections.defaultdict(lambda: [0, 0])
        ends, starts, idle = [], [], 0
        for name, value in stats.items():
            parts = name.split(".")
            if parts[:2] == ["vmm", "guest"] and parts[-3:-2] == ["exits"]:
                self.exits[parts[-2]][0 if parts[-1] == "count" else 1] += value
            elif parts[:2] == ["vmm", "guest"] and parts[-1] == "start_tsc":
                starts.append(value)
            elif parts[:2] == ["vmm", "guest"] and parts[-1] == "end_tsc":
                ends.append(value)
            elif parts[:2] == ["vmm", "guest"] and parts[-1] == "idle_tsc":
                idle = max(idle, value)
        if not starts:
            sys.exit("the hypervisor reported no guest: see vmm.log")
        self.start = min(starts)
        self.entries = sum(count for count, _ in self.exits.values())
        self.end = max(ends)
        self.idle = idle
        self.work = {name[len("vmm.hosted."):]: value for name, value in stats.items() if name.startswith("vmm.hosted.")}

    def per_exit(self, reason):
        count, cycles = self.exits[reason]
        return cycles / count

    def between(self):
        """Cycles of neither boot nor handlers nor waiting."""
        return self.end - self.start - self.idle - sum(cycles for _, cycles in self.exits.values())

    def mean_work(self, where):
        times = max(1, self.work.get(where + ".times", 0))
        return self.work.get(where + ".references", 0) / times, self.work.get(where + ".lines", 0) / times


class Sample:
    """A mean that is to be explained: `cycles` = the kind's own + references · r + lines · l."""

    def __init__(self, kind, weight, cycles, work):
        self.kind, self.weight, self.cycles = kind, weight, cycles
        self.references, self.lines = work


def samples_of(bare, hosted, paging):
    samples = []
    for reason in bare.exits:
        if bare.exits[reason][0] >= FEW and hosted.exits.get(reason, [0])[0] >= FEW:
            samples.append(Sample(f"{paging}.{reason}", bare.exits[reason][0], bare.per_exit(reason) - hosted.per_exit(reason),
                                  hosted.mean_work("exits." + reason)))
    between = bare.between() / bare.entries - hosted.between() / hosted.entries
    samples.append(Sample(f"{paging}.entry", bare.entries, between, hosted.mean_work("entry")))
    samples.append(Sample(f"{paging}.start", 1, bare.start - hosted.start, hosted.mean_work("start")))
    return samples


def by_kind(samples):
    kinds = collections.defaultdict(list)
    for s in samples:
        kinds[s.kind].append(s)
    return kinds


def mean(group, value):
    return sum(s.weight * value(s) for s in group) / sum(s.weight for s in group)


def slopes(samples):
    """Cycles for a reference and for a line: least squares of what varies within each kind, neither of them below zero."""
    rr = rl = ll = ry = ly = 0.0
    for group in by_kind(samples).values():
        r0, l0, y0 = (mean(group, value) for value in
                      (lambda s: s.references, lambda s: s.lines, lambda s: s.cycles))
        for s in group:
            r, l, y = s.references - r0, s.lines - l0, s.cycles - y0
            rr += s.weight * r * r
            rl += s.weight * r * l
            ll += s.weight * l * l
            ry += s.weight * r * y
            ly += s.weight * l * y
    determinant = rr * ll - rl * rl
    if determinant > 1e-9 * max(1.0, rr * ll):
        reference, line = (ry * ll - ly * rl) / determinant, (ly * rr - ry * rl) / determinant
        if reference >= 0 and line >= 0:
            return reference, line
    reference = max(0.0, ry / rr) if rr > 0 else 0.0
    return reference, 0.0


def table_of(samples):
    reference, line = slopes(samples)
    own = {kind: max(0.0, mean(group, lambda s: s.cycles - reference * s.references - line * s.lines))
           for kind, group in by_kind(samples).items()}
    return [f"reference={reference:.3f}", f"line={line:.3f}"] + [f"{kind}={cycles:.1f}" for kind, cycles in own.items()]


def settings_of(table, timing):
    return [f"vmm.costs.{timing}=[{','.join(table)}]"]


def yaml_of(tables, experiments):
    lines = ["# What the computing of a hosted hypervisor takes on this processor: measured by tools/vmm_calibrate.py with",
             "# " + ", ".join(experiments) + ".", "vmm:", "  costs:"]
    for timing, table in tables.items():
        lines.append(f"    {timing}:")
        lines += [f"      - {item}" for item in table]
    return "\n".join(lines) + "\n"


def main():
    arguments = parse()
    tables = {}
    for timing in arguments.timing or MODES:
        samples, bare_runs = [], {}
        for config in arguments.configs:
            for paging in arguments.paging or PAGING:
                bare = Measured(run(arguments, config, timing, paging, "bare", []))
                hosted = Measured(run(arguments, config, timing, paging, "hosted", zero(timing)))
                samples += samples_of(bare, hosted, paging)
                bare_runs[config, paging] = bare
        tables[timing] = table_of(samples)
        for (config, paging), bare in bare_runs.items():
            hosted = Measured(run(arguments, config, timing, paging, "hosted", settings_of(tables[timing], timing)))
            whole, guests = hosted.total / bare.total, (hosted.total - hosted.start) / (bare.total - bare.start)
            print(f"{timing:8} {paging:8} {pathlib.Path(config).name}: bare {bare.total} cycles, hosted {hosted.total}: "
                  f"{100 * (whole - 1):+.1f} %, after boot {100 * (guests - 1):+.1f} %", file=sys.stderr)
    text = yaml_of(tables, [pathlib.Path(config).name for config in arguments.configs])
    if arguments.out:
        pathlib.Path(arguments.out).write_text(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
