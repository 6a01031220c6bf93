#!/usr/bin/env python3
"""Many small single-user systems on one machine, as CP-40 ran CMS: cycles and memory that N lab guests cost beyond N machines.

For N = 1, 2, 4, … guests of the lab kernel (docs/lab_kernel.md) on a machine with 1 GiB, in each way of paging:
  overhead   cycles from the first guest's first instruction to the last guest's end in which somebody ran, against N times the
             cycles in which the same guest ran natively; 0.1 is a tenth more. Time in which all wait is nobody's.
  memory     what the hypervisor keeps for a guest beside the guest's own memory: tables, devices, bookkeeping.
Writes a JSON file and a picture (SVG). Every number repeats to the cycle.
"""

import argparse
import html
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parent.parent
WORK = "run=forkwait count=100; run=pgfault count=500; run=switch count=4000; run=syscall count=20000"
COLOURS = {"nested": "#1d4ed8", "shadow": "#c2410c", "vtlb": "#15803d"}
PANEL_WIDTH, PANEL_HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 460, 320, 62, 16, 44, 52


class Failed(Exception):
    """A run that did not end as it has to."""


def simulate(arguments, settings, machine):
    """stats.json and the hypervisor's console of one run."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out"
        command = [arguments.bunshin, "run", str(machine), "--quiet", "--timing", arguments.timing, "--out", str(out)]
        for key, value in {"machine.memory": "1GiB", **settings}.items():
            command += ["--set", f"{key}={value}"]
        process = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        console = out / "com2.log"
        said = console.read_text() if console.exists() else ""
        if process.returncode != 0:
            raise Failed(f"status {process.returncode}: {process.stderr[-500:]}{said[-500:]}")
        stats = {name: entry["value"] for name, entry in json.loads((out / "stats.json").read_text()).items()}
        return stats, said, process.stdout


def machine_file(folder, profile):
    path = pathlib.Path(folder) / "machine.yaml"
    path.write_text(f"include: [{SOURCE}/configs/platform/pc.yaml, {SOURCE}/configs/cpu/{profile}.yaml]\n"
                    "guest:\n  loader: multiboot\n")
    return path


def native(arguments, machine):
    """Cycles in which the guest ran, without those in which it waited."""
    stats, _, _ = simulate(arguments, {"guest.kernel": arguments.guests / "lab", "guest.cmdline": arguments.cmdline}, machine)
    return stats["sim.cycles"] - stats.get("core0.timing.cycles.halted", stats.get("core0.cycles.halted", 0))


def hypervised(arguments, machine, folder, paging, count):
    """One point of the curves."""
    configuration = pathlib.Path(folder) / "vmm.cfg"
    configuration.write_text(f"paging = {paging}\nslice = {arguments.slice}\n" + "".join(
        f"[guest g{i}]\nkernel = lab\nmemory = {arguments.memory}\ncmdline = {arguments.cmdline}\n" for i in range(count)))
    _, said, console = simulate(arguments, {
        "guest.kernel": arguments.image, "guest.initrd": f"[{configuration},{arguments.guests / 'lab'}]",
        "devices.com2": "true"}, machine)
    if console.count("0 failed") != count:
        raise Failed(f"{count} guests, {paging}: {console.count('0 failed')} ended well")

    def numbers(name):
        return [int(value) for value in re.findall(rf"\b{name} (\d+)", said)]
    ran = max(numbers("end_tsc")) - min(numbers("start_tsc")) - max(numbers("idle_tsc"))
    fixed = int(re.search(r"guests take (\d+) KiB", said).group(1)) * 1024
    exits = sum(int(value) for value in re.findall(r"exits \w+ (\d+) tsc", said))
    in_guests = sum(numbers("guest_tsc"))
    return {"guests": count, "cycles": ran, "guest_cycles": in_guests, "exits_per_guest": exits / count,
            "bytes_per_guest": (fixed + sum(numbers("table_bytes"))) / count}


def polyline(points, colour):
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points)
    return f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}'


def panel(left, title, counts, curves, unit):
    """One diagram: guests to the right, evenly by doublings; values upwards from 0."""
    top = max(max(values) for values in curves.values()) or 1
    step = next(s for s in (m * 10 ** e for e in range(-3, 7) for m in (1, 2, 5)) if top / s <= 6)
    height, width = PANEL_HEIGHT - TOP - BOTTOM, PANEL_WIDTH - LEFT - RIGHT
    ceiling = step * (int(top / step) + 1)

    def x(index):
        return left + LEFT + width * (index / max(len(counts) - 1, 1))

    def y(value):
        return TOP + height * (1 - value / ceiling)
    parts = [f'<text x="{left + PANEL_WIDTH / 2}" y="20" text-anchor="middle" font-size="14" font-weight="600">{html.escape(title)}</text>']
    value = 0
    while value <= ceiling * 1.0001:
        parts.append(f'<line x1="{left + LEFT}" x2="{left + PANEL_WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#e5e7eb"/>'
                     f'<text x="{left + LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}{unit}</text>')
        value += step
    for index, count in enumerate(counts):
        parts.append(f'<text x="{x(index):.1f}" y="{TOP + height + 18}" text-anchor="middle">{count}</text>')
    parts.append(f'<text x="{left + LEFT + width / 2}" y="{TOP + height + 38}" text-anchor="middle">guests at once</text>')
    for mode, values in curves.items():
        parts.append(polyline([(x(i), y(v)) for i, v in enumerate(values)], COLOURS[mode]))
    return "".join(parts)


def picture(result):
    counts = result["counts"]
    overhead = {mode: [100 * p["overhead"] for p in points] for mode, points in result["modes"].items()}
    memory = {mode: [p["bytes_per_guest"] / 1024 for p in points] for mode, points in result["modes"].items()}
    legend = "".join(
        f'<rect x="{LEFT + 110 * i}" y="{TOP - 14}" width="10" height="10" fill="{COLOURS[mode]}"/>'
        f'<text x="{LEFT + 110 * i + 15}" y="{TOP - 5}">{mode}</text>' for i, mode in enumerate(result["modes"]))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * PANEL_WIDTH} {PANEL_HEIGHT}" '
            'font-family="system-ui, sans-serif" font-size="12" fill="#1f2937">'
            f'<rect width="{2 * PANEL_WIDTH}" height="{PANEL_HEIGHT}" fill="#fff"/>'
            + panel(0, "cycles beyond N machines", counts, overhead, " %")
            + panel(PANEL_WIDTH, "memory for a guest beside its own", counts, memory, " KiB") + legend + "</svg>\n")


def measure(arguments):
    counts = [int(count) for count in arguments.counts.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        machine = machine_file(folder, arguments.profile)
        alone = native(arguments, machine)
        result = {"profile": arguments.profile, "timing": arguments.timing, "native_cycles": alone, "counts": counts, "modes": {}}
        for paging in arguments.modes.split(","):
            points = result["modes"].setdefault(paging, [])
            for count in counts:
                point = hypervised(arguments, machine, folder, paging, count)
                point["overhead"] = point["cycles"] / (count * alone) - 1
                points.append(point)
                print(f"{paging:7} {count:3} guests: {100 * point['overhead']:6.1f} % more cycles, "
                      f"{point['exits_per_guest']:8.0f} exits and {point['bytes_per_guest'] / 1024:7.1f} KiB a guest", flush=True)
    return result


def main():
    default = SOURCE / "build/release"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bunshin", default=os.environ.get("BUNSHIN", default / "bunshin"))
    parser.add_argument("--guests", type=pathlib.Path, default=pathlib.Path(os.environ.get("BUNSHIN_GUESTS", default / "guests")))
    parser.add_argument("--image", type=pathlib.Path, help="bunshin-vmm.elf; default: beside the guests")
    parser.add_argument("--profile", default="zen3", help="processor, of configs/cpu")
    parser.add_argument("--timing", default="ooo", help="none counts instructions instead of cycles")
    parser.add_argument("--modes", default="nested,shadow,vtlb")
    parser.add_argument("--counts", default="1,2,4,8,16,32,64")
    parser.add_argument("--slice", default="500us", help="a guest's turn; shorter than what a guest does, so that they do it by turns")
    parser.add_argument("--memory", default="12M", help="of a guest")
    parser.add_argument("--cmdline", default=WORK, help="what a guest does; a fixed amount of work, without waiting")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--svg", type=pathlib.Path)
    arguments = parser.parse_args()
    arguments.image = arguments.image or arguments.guests.parent / "vmm-model/bunshin-vmm.elf"
    try:
        result = measure(arguments)
    except Failed as problem:
        print(f"density: {problem}", file=sys.stderr)
        return 1
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    if arguments.svg:
        arguments.svg.write_text(picture(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
