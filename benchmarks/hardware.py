#!/usr/bin/env python3
"""The microbenchmarks of guests/micro on the real processor and on the simulated one: a table with the error of each
point, and a page of curves. benchmarks/hardware.sh builds what this runs."""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(SOURCE / "benchmarks"))
import curves  # noqa: E402  (the folder is no package)

# CPUID family and model (as /proc/cpuinfo has them) of what configs/cpu describes. Models: Intel SDM vol. 4, table 2-1; AMD's
# processor programming references.
PROFILES = [
    ("GenuineIntel", 15, range(0, 3), "p4-672"),
    ("GenuineIntel", 15, range(3, 7), "p4-672"),
    ("GenuineIntel", 6, (15, 22), "merom"),
    ("GenuineIntel", 6, (23, 29), "penryn"),
    ("GenuineIntel", 6, (26, 30, 31, 46), "nehalem"),
    ("GenuineIntel", 6, (37, 44, 47), "westmere"),
    ("GenuineIntel", 6, (42, 45), "sandy-bridge"),
    ("GenuineIntel", 6, (60, 63, 69, 70), "haswell"),
    ("GenuineIntel", 6, (78, 94), "skylake"),
    ("AuthenticAMD", 16, (2, 4, 5, 6, 8, 9, 10), "barcelona"),
    ("AuthenticAMD", 23, (49, 71, 96, 104, 113, 144, 152), "zen2"),
    ("AuthenticAMD", 25, (*range(0, 16), *range(32, 96)), "zen3"),
]
# Where no profile matches: the newest one of the vendor for families and models beyond it.
NEAREST = {"GenuineIntel": "skylake", "AuthenticAMD": "zen3"}


def powers(first, last, factor=2):
    while first <= last:
        yield first
        first *= factor


# Title, benchmark, its points (None: all), what the axis says, whether the real processor has it.
SECTIONS = [
    ("Latency of instructions", "latency", None, "", True),
    ("Throughput of instructions (cycles for one)", "throughput", None, "", True),
    ("Load latency, large pages", "load_latency", [*powers(4096, 64 << 20), *powers(6144, 48 << 20)], "bytes", True),
    ("Load latency, 4 KiB pages", "load_latency_4k", [*powers(4096, 64 << 20)], "bytes", True),
    ("One load a page, 4 KiB pages", "tlb_reach_4k", [*powers(1, 16384), *powers(12, 12288)], "pages", True),
    ("The same number of lines packed", "lines", [*powers(1, 16384)], "lines", True),
    ("One load a page, 2 MiB pages", "tlb_reach_2m", [*powers(1, 512), *powers(12, 384)], "pages", True),
    ("One load a page, 1 GiB pages", "tlb_reach_1g", [*powers(1, 128)], "pages", False),
    ("One jump a page, 4 KiB pages", "itlb_reach_4k", [*powers(1, 4096), *powers(12, 3072)], "pages", True),
    ("The same number of jumps packed, one a line", "code_lines", [*powers(1, 4096)], "jumps", True),
    ("Jumps 16 bytes apart", "jumps", [*powers(64, 16384)], "jumps", True),
    ("A conditional branch taken once in N", "branch", ["always", "never", "random", *powers(2, 1024)], "N", True),
    ("Indirect jumps, N targets in turn", "indirect", [*powers(1, 64)], "N", True),
    ("Indirect jumps, N targets at random", "indirect_random", [*powers(1, 64)], "N", True),
    ("Calls nested N deep", "call_depth", [*range(1, 13), *range(14, 65, 2)], "N", True),
    ("A return to elsewhere", "mispredicted", None, "", True),
    ("N independent chases beyond the caches: a step of all", "parallel_chases", [*range(1, 17), 20, 24, 32, 48], "N", True),
    ("Reading in order: cycles a line", "read_line", [*powers(16384, 64 << 20, 4)], "bytes", True),
    ("Writing in order: cycles a line", "write_line", [*powers(16384, 64 << 20, 4)], "bytes", True),
    ("A chase with a constant stride", "stride_latency", [*powers(64, 65536)], "bytes", True),
    ("A walk, tables in the L1, loads so far apart", "walk_warm", None, "", False),
    ("A walk, tables in memory", "walk_cold", None, "", False),
    ("Lines between two processors", "remote", None, "", True),
]


def processor():
    """What /proc/cpuinfo says of the first processor."""
    fields = {}
    for line in pathlib.Path("/proc/cpuinfo").read_text().split("\n"):
        if not line.strip() and fields:
            break
        name, _, value = line.partition(":")
        fields[name.strip()] = value.strip()
    return fields


def profile_of(cpu):
    """Name of the profile, and whether it is one of this very microarchitecture."""
    vendor, family, model = cpu.get("vendor_id"), int(cpu.get("cpu family", 0)), int(cpu.get("model", 0))
    for row_vendor, row_family, models, name in PROFILES:
        if vendor == row_vendor and family == row_family and model in models:
            return name, True
    return NEAREST.get(vendor, "generic"), False


def words(on_hardware, only):
    chosen = []
    for _, name, points, _, everywhere in SECTIONS:
        if (on_hardware and not everywhere) or (only and name not in only):
            continue
        chosen += [name] if points is None else [f"{name}={point}" for point in points]
    return chosen


def parse(text):
    found = {}
    for line in text.splitlines():
        parts = line.split()
        if len(parts) == 3 and not line.startswith("bench"):
            try:
                found[parts[0], parts[1]] = float(parts[2])
            except ValueError:
                continue
    return found


def ask_for_the_processor():
    """Others on the machine disturb less, where that is permitted."""
    try:
        os.nice(-20)
    except OSError:
        pass


def run_hardware(program, only):
    return parse(subprocess.run([program, *words(True, only)], capture_output=True, text=True, check=True,
                                preexec_fn=ask_for_the_processor).stdout)


def run_simulator(bunshin, guest, profile, timing, only):
    """One run for each benchmark: they do not disturb each other's caches, and a fault costs one section."""
    found = {}
    for _, name, _, _, _ in SECTIONS:
        if only and name not in only:
            continue
        with tempfile.TemporaryDirectory() as directory:
            config = pathlib.Path(directory) / "hardware.yaml"
            config.write_text(f"include: [{SOURCE}/configs/experiment/multiboot.yaml, "
                              f"{SOURCE}/configs/cpu/{profile}.yaml]\n")
            command = [bunshin, "run", config, "--quiet", "--timing", timing, "--set", f"guest.kernel={guest}",
                       "--set", "guest.cmdline=" + " ".join(words(False, [name])), "--set", "machine.memory=512MiB"]
            if name == "remote":
                # Short turns, so that a line may go to and fro.
                command += ["--set", "machine.cores=2", "--set", "machine.quantum=100"]
            process = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                     check=False)
        if process.returncode != 0:
            print(f"hardware.py: {name}: {process.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        found.update(parse(process.stdout))
    return found


def human(name, parameter, axis):
    if axis != "bytes" or not parameter.isdigit():
        return parameter
    value = int(parameter)
    for unit, size in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if value % size == 0:
            return f"{value // size} {unit}"
    return f"{value} B"


def sorted_points(real, simulated, name):
    points = {parameter for benchmark, parameter in [*real, *simulated] if benchmark == name}
    order = {parameter: i for i, (benchmark, parameter) in enumerate([*simulated, *real]) if benchmark == name}
    return sorted(points, key=lambda p: (0, int(p)) if p.isdigit() else (1, order[p]))


def table(real, simulated, profile):
    lines = [f"{'':28}{'parameter':>22}{'real':>10}{profile:>14}{'error':>9}"]
    errors = {}
    for title, name, _, axis, _ in SECTIONS:
        points = sorted_points(real, simulated, name)
        if not points:
            continue
        lines.append(f"{title}")
        for point in points:
            ours, theirs = simulated.get((name, point)), real.get((name, point))
            error = None
            if ours is not None and theirs:
                error = ours / theirs - 1
                errors.setdefault(name, []).append(abs(error))
            text = lambda v: "-" if v is None else f"{v:.2f}"  # noqa: E731
            lines.append(f"  {name:26}{human(name, point, axis):>22}{text(theirs):>10}{text(ours):>14}"
                         f"{'-' if error is None else f'{error:+.0%}':>9}")
    if errors:
        lines += ["", "Median of the absolute errors"]
        for name, values in errors.items():
            lines.append(f"  {name:26}{statistics.median(values):>8.0%}   of {len(values)} points")
        lines.append(f"  {'all':26}{statistics.median([e for v in errors.values() for e in v]):>8.0%}")
    return "\n".join(lines)


def main():
    build = SOURCE / "build/release"
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--profile", help="of configs/cpu, in place of the one that matches")
    options.add_argument("--timing", default="ooo", choices=("ooo", "inorder"))
    options.add_argument("--only", default="", help="benchmarks, with commas between: latency,load_latency,…")
    options.add_argument("--build", default=build, type=pathlib.Path, help="where bunshin and guests/ are")
    options.add_argument("--html", default=SOURCE / "build/hardware.html", type=pathlib.Path, help="the page of curves")
    options.add_argument("--json", type=pathlib.Path, help="all points")
    arguments = options.parse_args()
    only = [name for name in arguments.only.split(",") if name]
    known = {name for _, name, _, _, _ in SECTIONS}
    if not set(only) <= known:
        options.error(f"--only: {', '.join(sorted(set(only) - known))}; there are {', '.join(sorted(known))}")

    cpu = processor()
    profile, exact = profile_of(cpu)
    about = f"{cpu.get('model name', platform.machine())}, family {cpu.get('cpu family')}, model {cpu.get('model')}"
    if "hypervisor" in cpu.get("flags", ""):
        about += ", virtualized"
    if arguments.profile:
        profile, exact = arguments.profile, False
    match = f"profile {profile}" + ("" if exact else
                                    ": NOT this processor" + ("" if arguments.profile else ", the nearest that there is"))
    print(f"This machine: {about}\nBeside it: {match}, {arguments.timing}\n", flush=True)
    real = run_hardware(arguments.build / "guests/micro_host", only)
    simulated = run_simulator(arguments.build / "bunshin", arguments.build / "guests/micro", profile, arguments.timing, only)
    print(table(real, simulated, profile))
    arguments.html.parent.mkdir(parents=True, exist_ok=True)
    sections = [(title, name, axis, sorted_points(real, simulated, name)) for title, name, _, axis, _ in SECTIONS]
    arguments.html.write_text(curves.page(f"{about} beside {match}", profile, sections, real, simulated))
    print(f"\nCurves: {arguments.html}")
    if arguments.json:
        arguments.json.write_text(json.dumps(
            {"processor": about, "profile": profile, "exact": exact, "timing": arguments.timing,
             "points": [{"benchmark": name, "parameter": point, "real": real.get((name, point)),
                         "simulated": simulated.get((name, point))}
                        for _, name, _, points in sections for point in points]}, indent=1) + "\n")


if __name__ == "__main__":
    main()
