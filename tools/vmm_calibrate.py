#!/usr/bin/env python3
"""Measures what the hypervisor's own computing takes on a processor, for the hosted binding (docs/hypervisor.md).

    tools/vmm_calibrate.py EXPERIMENT... [--set KEY=VALUE]... [--timing MODE]... [--paging MODE]... [--out FILE]

An EXPERIMENT is a configuration, and any number of KEY=VALUE behind it. Each runs under the image that boots (`--vmm bare`)
and under the hosted hypervisor with all costs zero. What the first took longer, by way of paging and kind of exit, is its
computing: the mean goes to the exit. With several experiments, least squares over them give each reference to memory, line
copied, instruction performed and table element a share of its own. The table is written as a fragment of a configuration; then
each experiment is run with it, and its cycles are printed beside the bare run's.
"""

import argparse
import collections
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parents[1]
MODES = ("none", "inorder", "ooo")
PAGING = ("nested", "vtlb", "shadow", "software")
#: Sorts of work that are counted (`vmm.hosted.….references` and so on).
WORK = ("reference", "field", "line", "instruction", "element")
#: Next to nothing.
HAIR = 1e-7
# How many exits of a kind a run must have had for its mean to say something.
FEW = 1


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="+", metavar="EXPERIMENT", help="what runs as the guest: CONFIG [KEY=VALUE]...")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as `bunshin run` has it")
    parser.add_argument("--timing", action="append", choices=MODES, help="only this timing; may be repeated")
    parser.add_argument("--paging", action="append", choices=PAGING,
                        help="this way of paging; may be repeated; default: nested, vtlb, shadow")
    parser.add_argument("--bunshin", default=os.environ.get("BUNSHIN", str(SOURCE / "build/release/bunshin")))
    parser.add_argument("--out", help="the file to write; standard output if not given")
    arguments = parser.parse_args()
    arguments.experiments = []
    for word in arguments.words:
        if "=" not in word:
            arguments.experiments.append((word, []))
        elif not arguments.experiments:
            parser.error(f"{word}: a configuration comes first")
        else:
            arguments.experiments[-1][1].append(word)
    return arguments


def run(arguments, experiment, timing, paging, binding, settings):
    """The statistics of one run."""
    config, own = experiment
    scheme = ["translation.scheme=software"] if paging == "software" else []
    with tempfile.TemporaryDirectory() as directory:
        command = [arguments.bunshin, "run", config, "--quiet", "--vmm", binding, "--timing", timing, "--out", directory]
        for setting in arguments.set + own + scheme + [f"vmm.paging={paging}"] + settings:
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
        self.inside = sum(value for name, value in stats.items() if name.startswith("vmm.guest.") and name.endswith(".guest_tsc"))
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
        """Cycles of neither boot nor guests nor handlers nor waiting."""
        return self.end - self.start - self.idle - self.inside - sum(cycles for _, cycles in self.exits.values())

    def mean_work(self, where):
        times = max(1, self.work.get(where + ".times", 0))
        return [self.work.get(f"{where}.{name}s", 0) / times for name in WORK]


class Sample:
    """A mean that is to be explained: `cycles` = the kind's own + for each sort of work what a unit of it takes · `work`."""

    def __init__(self, kind, share, cycles, work):
        self.kind, self.cycles, self.work = kind, cycles, work
        self.weight = share * share  # of the experiment's cycles a cycle more here is so much: all experiments count alike


def samples_of(bare, hosted, paging):
    samples, whole = [], bare.end - bare.start
    for reason in bare.exits:
        if bare.exits[reason][0] >= FEW and hosted.exits.get(reason, [0])[0] >= FEW:
            cycles = bare.per_exit(reason) - hosted.per_exit(reason)
            samples.append(Sample(f"{paging}.{reason}", bare.exits[reason][0] / whole, cycles,
                                  hosted.mean_work("exits." + reason)))
    for kind, of in (("entry", Measured.between), ("switch", lambda run: run.inside)):
        cycles = of(bare) / bare.entries - of(hosted) / hosted.entries
        samples.append(Sample(f"{paging}.{kind}", bare.entries / whole, cycles, hosted.mean_work(kind)))
    samples.append(Sample(f"{paging}.start", 1 / whole, bare.start - hosted.start, hosted.mean_work("start")))
    return samples


def by_kind(samples, key=lambda s: s.kind):
    kinds = collections.defaultdict(list)
    for s in samples:
        kinds[key(s)].append(s)
    return kinds


def mean(group, value):
    return sum(s.weight * value(s) for s in group) / sum(s.weight for s in group)


def solve(matrix, right):
    """Gaussian elimination of a symmetric, positive system."""
    n = len(right)
    rows = [row[:] + [value] for row, value in zip(matrix, right)]
    for i in range(n):
        for k in range(n):
            if k != i and rows[k][i] != 0:
                factor = rows[k][i] / rows[i][i]
                rows[k] = [a - factor * b for a, b in zip(rows[k], rows[i])]
    return [rows[i][n] / rows[i][i] for i in range(n)]


def normal_equations(rows, names):
    """Of `rows` (weight, value, {name: factor}), each name in its own unit, which comes third."""
    at = {name: i for i, name in enumerate(names)}
    matrix, right = [[0.0] * len(names) for _ in names], [0.0] * len(names)
    for weight, value, terms in rows:
        for name, x in terms.items():
            right[at[name]] += weight * x * value
            for other, y in terms.items():
                matrix[at[name]][at[other]] += weight * x * y
    units = [math.sqrt(matrix[i][i]) or 1.0 for i in range(len(names))]
    matrix = [[cell / units[i] / units[k] for k, cell in enumerate(row)] for i, row in enumerate(matrix)]
    for i in range(len(names)):
        matrix[i][i] += HAIR  # what only ever comes together gets a share each
    return matrix, [value / unit for value, unit in zip(right, units)], units


def least_squares(rows, names):
    """What each name costs, none below zero (the method of Lawson and Hanson)."""
    matrix, right, units = normal_equations(rows, names)
    everything = range(len(names))
    x, used = [0.0] * len(names), []
    while True:
        gain = [right[i] - sum(matrix[i][k] * x[k] for k in used) for i in everything]
        best = max((i for i in everything if i not in used), key=lambda i: gain[i], default=None)
        if best is None or gain[best] <= HAIR * max(right):
            return {name: max(0.0, x[i] / units[i]) for i, name in enumerate(names)}
        used.append(best)
        clipped = True
        while clipped:
            found = solve([[matrix[i][k] for k in used] for i in used], [right[i] for i in used])
            clipped = [i for i, value in zip(used, found) if value <= 0]
            step = min((x[i] / (x[i] - value) for i, value in zip(used, found) if value <= 0), default=1.0)
            for i, value in zip(used, found):
                x[i] += step * (value - x[i])
            used = [i for i in used if i not in clipped or x[i] > HAIR * HAIR]


def table_of(samples):
    kinds = by_kind(samples)
    rows = [(s.weight, s.cycles, {s.kind: 1.0} | {name: x for name, x in zip(WORK, s.work) if x}) for s in samples]
    costs = least_squares(rows, list(WORK) + list(kinds))
    # An exit that the experiments had under one way of paging only takes as long under the others.
    anyhow = {reason: mean(group, lambda s: costs[s.kind])
              for reason, group in by_kind(samples, lambda s: s.kind.split(".", 1)[1]).items()}
    table = [f"{name}={costs[name]:.3f}" for name in WORK]
    return table + [f"{kind}={cost:.1f}" for kind, cost in (anyhow | {kind: costs[kind] for kind in kinds}).items()]


def settings_of(table, timing):
    return [f"vmm.costs.{timing}=[{','.join(table)}]"]


def name_of(experiment):
    """The configuration's name and the command line, if there is one of its own."""
    config, settings = experiment
    lines = [s.removeprefix("guest.cmdline=") for s in settings if s.startswith("guest.cmdline=")]
    return " ".join([pathlib.Path(config).name] + lines)


def yaml_of(tables, experiments):
    lines = ["# What the computing of a hosted hypervisor takes on this processor: measured by tools/vmm_calibrate.py with"]
    lines += [f"#   {experiment}" for experiment in experiments] + ["vmm:", "  costs:"]
    for timing, table in tables.items():
        lines.append(f"    {timing}:")
        lines += [f"      - {item}" for item in table]
    return "\n".join(lines) + "\n"


def main():
    arguments = parse()
    tables = {}
    for timing in arguments.timing or MODES:
        samples, bare_runs = [], {}
        for i, experiment in enumerate(arguments.experiments):
            for paging in arguments.paging or PAGING[:3]:
                bare = Measured(run(arguments, experiment, timing, paging, "bare", []))
                hosted = Measured(run(arguments, experiment, timing, paging, "hosted", zero(timing)))
                samples += samples_of(bare, hosted, paging)
                bare_runs[i, paging] = bare
        tables[timing] = table_of(samples)
        for (i, paging), bare in bare_runs.items():
            experiment = arguments.experiments[i]
            hosted = Measured(run(arguments, experiment, timing, paging, "hosted", settings_of(tables[timing], timing)))
            busy = [m.end - m.start - m.idle for m in (bare, hosted)]
            print(f"{timing:8} {paging:8} {name_of(experiment)}: bare {bare.total} cycles, hosted {hosted.total}: "
                  f"{100 * (hosted.total / bare.total - 1):+.1f} %, busy after the start {100 * (busy[1] / busy[0] - 1):+.1f} %",
                  file=sys.stderr)
    text = yaml_of(tables, [name_of(experiment) for experiment in arguments.experiments])
    if arguments.out:
        pathlib.Path(arguments.out).write_text(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
