#!/usr/bin/env python3
"""What each technique of the execution engine is worth: builds the simulator without it, one after the other, and compares.

Each file in benchmarks/ablation/ is a patch that switches one technique off; its first line says which. See docs/engine.md.
"""

import argparse
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys

SOURCE = pathlib.Path(__file__).resolve().parent.parent
PATCHES = sorted((SOURCE / "benchmarks/ablation").glob("*.patch"))
WORK = SOURCE / "build/ablation"
COMPLETE = "complete"


def run(*command, **options):
    return subprocess.run([str(c) for c in command], check=True, **options)


def prepare_source():
    """A copy of the tracked files, so that the checkout itself is never patched."""
    source = WORK / "source"
    shutil.rmtree(source, ignore_errors=True)
    listing = run("git", "ls-files", "-z", cwd=SOURCE, capture_output=True).stdout.decode()
    for name in filter(None, listing.split("\0")):
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(SOURCE / name, target)
    run("cmake", "-S", source, "-B", WORK / "build", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
        stdout=subprocess.DEVNULL)
    return source


def build(name, *targets):
    print(f"building: {name}", file=sys.stderr, flush=True)
    run("cmake", "--build", WORK / "build", "--target", "bunshin", *targets, stdout=subprocess.DEVNULL)
    shutil.copy2(WORK / "build/bunshin", WORK / f"bunshin-{name}")


def build_all(patches):
    source = prepare_source()
    build(COMPLETE, "guests/all")
    for patch in patches:
        run("patch", "-p1", "-d", source, "-i", patch, stdout=subprocess.DEVNULL)
        build(patch.stem)
        run("patch", "-R", "-p1", "-d", source, "-i", patch, stdout=subprocess.DEVNULL)


def cpu_seconds(name, guest):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run(WORK / f"bunshin-{name}", "run", SOURCE / "configs/experiment/multiboot.yaml", "--quiet", "--set",
        f"guest.kernel={WORK}/build/guests/bench_{guest}", "--set", "machine.memory=512MiB", stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(names, guests, repetitions):
    times = {(name, guest): [] for name in names for guest in guests}
    for repetition in range(repetitions):
        for guest in guests:
            print(f"measuring: {guest}, {repetition + 1} of {repetitions}", file=sys.stderr, flush=True)
            for name in names:
                times[name, guest].append(cpu_seconds(name, guest))
    return {key: statistics.median(values) for key, values in times.items()}


def print_table(names, guests, seconds):
    print("CPU time without the technique, as a multiple of the complete engine's")
    print(f"{'without':<16}" + "".join(f"{guest:>10}" for guest in guests))
    for name in names:
        if name != COMPLETE:
            ratios = (seconds[name, guest] / seconds[COMPLETE, guest] for guest in guests)
            print(f"{name:<16}" + "".join(f"{ratio:>10.2f}" for ratio in ratios))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--guests", default="int,mem,mix,syscall", help="benchmark guests (default: %(default)s)")
    parser.add_argument("--repetitions", type=int, default=3, help="of each run, the median counts")
    arguments = parser.parse_args()
    names = [COMPLETE, *(patch.stem for patch in PATCHES)]
    guests = arguments.guests.split(",")
    build_all(PATCHES)
    print_table(names, guests, measure(names, guests, arguments.repetitions))


if __name__ == "__main__":
    main()
