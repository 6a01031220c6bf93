"""Runs the benchmark guests and a boot of Linux here and on the simulator's peers, and prints how their speeds compare,
beside the floors that they must not fall below. See docs/benchmarks.md."""

import argparse
import dataclasses
import json
import math
import operator
import os
import pathlib
import re
import select
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time

import boot
from boot import Failure

SOURCE = pathlib.Path(__file__).resolve().parent.parent
GUESTS = ("int", "mem", "tlbmiss", "ptemod", "cr3", "mix", "syscall")
MEMORY_MIB = 512
LOADED_PROGRAM = 1  # ELF: p_type PT_LOAD


class Bunshin:
    name, mode = "bunshin", "timing none"

    def __init__(self, executable):
        self.executable = executable

    def missing(self):
        return None if os.access(self.executable, os.X_OK) else f"{self.executable} is not built"

    def command(self, kernel, arguments, _directory):
        return [self.executable, "run", SOURCE / "configs/experiment/multiboot.yaml", "--quiet", "--timing", "none",
                "--set", f"guest.kernel={kernel}", "--set", f"guest.cmdline={arguments}",
                "--set", f"machine.memory={MEMORY_MIB}MiB"], None


class Qemu:
    name, mode = "qemu", "tcg"

    def missing(self):
        return None if shutil.which("qemu-system-x86_64") else "qemu-system-x86_64 is not installed"

    def command(self, kernel, arguments, _directory):
        return ["qemu-system-x86_64", "-accel", "tcg,thread=single", "-cpu", "max", "-m", str(MEMORY_MIB), "-display",
                "none", "-serial", "stdio", "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
                "-kernel", kernel, "-append", arguments], None


class Bochs:
    """Debian's package. Its BIOS loads no kernels, so an option ROM of ours carries one; the serial line is a FIFO."""
    name, mode = "bochs", "debian"
    firmware = pathlib.Path("/usr/share/bochs")

    def missing(self):
        for need in (shutil.which("bochs"), shutil.which("gcc"), (self.firmware / "BIOS-bochs-latest").exists(),
                     (self.firmware / "VGABIOS-lgpl-latest").exists()):
            if not need:
                return "bochs, bochsbios, vgabios or gcc is not installed"
        return None

    def command(self, kernel, arguments, directory):
        rom, serial = directory / "rom.bin", directory / "serial"
        rom.write_bytes(option_rom(kernel, arguments, directory))
        os.mkfifo(serial)
        (directory / "bochsrc").write_text(f"""\
megs: {MEMORY_MIB}
cpu: model=corei7_skylake_x, ips=50000000
clock: sync=none
romimage: file={self.firmware}/BIOS-bochs-latest
vgaromimage: file={self.firmware}/VGABIOS-lgpl-latest
optromimage1: file={rom}, address=0xd0000
plugin_ctrl: speaker=0, sb16=0, es1370=0, e1000=0, ne2k=0, usb_uhci=0, voodoo=0
display_library: rfb, options="timeout=0"
com1: enabled=1, mode=file, dev={serial}
log: {directory}/bochs.log
panic: action=fatal
error: action=ignore
info: action=ignore
""")
        # The package is built with the debugger, which waits for its first command.
        (directory / "commands").write_text("c\nq\n")
        return ["bochs", "-q", "-f", directory / "bochsrc", "-rc", directory / "commands"], serial


def module_definitions(modules, memory, directory):
    """For bochs_rom.S: entries of Multiboot modules (name, address, bytes), and megabytes of memory."""
    if not modules:
        return []
    entries = [f".long {address}, {address + size}, rom_address + name_{index} - rom, 0"
               for index, (_, address, size) in enumerate(modules)]
    names = [f'name_{index}: .asciz "{name}"' for index, (name, _, _) in enumerate(modules)]
    path = directory / "modules.s"
    path.write_text("\n".join(entries + names) + "\n")
    return [f'-DMODULES="{path}"', f"-DMODULE_COUNT={len(modules)}", f"-DUPPER_KIB={(memory - 1) * 1024}"]


def option_rom(kernel, arguments, directory, kernel_address=None, modules=(), memory=0):
    """bochs_rom.S with the kernel (32-bit ELF, one loaded segment) in it, padded, its bytes adding up to zero.

    With `kernel_address` the kernel is not in it: the caller has Bochs load DIRECTORY/kernel.bin there; and so are no
    `modules`, (name, address, bytes)."""
    elf = kernel.read_bytes()
    entry, headers = struct.unpack_from("<II", elf, 24)
    kind, offset, _, address, file_bytes, memory_bytes = struct.unpack_from("<6I", elf, headers)
    if elf[:5] != b"\x7fELF\x01" or kind != LOADED_PROGRAM:
        raise Failure(f"{kernel}: not a 32-bit ELF file whose first segment is loaded")
    image, assembled, flat = directory / "kernel.bin", directory / "rom.o", directory / "rom.flat"
    image.write_bytes(elf[offset:offset + file_bytes])
    subprocess.run(["gcc", "-c", f"-DENTRY={entry}", f"-DLOAD_ADDRESS={address}", f"-DFILE_BYTES={file_bytes}",
                    f"-DMEMORY_BYTES={memory_bytes}", f'-DCOMMAND_LINE="{arguments}"',
                    f"-DKERNEL_ADDRESS={kernel_address}" if kernel_address else f'-DKERNEL="{image}"',
                    *module_definitions(modules, memory, directory), "-o", assembled, SOURCE / "benchmarks/bochs_rom.S"], check=True)
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", assembled, flat], check=True)
    rom = bytearray(flat.read_bytes())
    rom += bytes(rom[2] * 512 - len(rom))
    rom[-1] = -sum(rom) & 0xff
    return bytes(rom)


@dataclasses.dataclass
class Run:
    cpu_seconds: float
    cycles: int
    checksum: str


def cpu_seconds(pid):
    """User and system time so far of a process, all its threads: fields 14 and 15 of proc(5)'s stat."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def lines(descriptor, process, deadline):
    """The console's lines as they come."""
    pending = b""
    while True:
        ready, _, _ = select.select([descriptor], [], [], 0.5)
        if ready:
            data = os.read(descriptor, 4096)
            if not data:
                return
            *complete, pending = (pending + data).split(b"\n")
            yield from (line.decode(errors="replace").strip() for line in complete)
        elif process.poll() is not None:
            return
        if time.monotonic() > deadline:
            raise Failure("no end marker in time")


def follow(guest, descriptor, process, timeout):
    """CPU time between the guest's own markers, and what it prints."""
    begin = end = checksum = None
    for line in lines(descriptor, process, time.monotonic() + timeout):
        found = re.fullmatch(rf"bench {guest} (start|checksum|end|cycles) ?(\w*)", line)
        if not found:
            continue
        word, value = found.groups()
        if word == "start":
            begin = cpu_seconds(process.pid)
        elif word == "checksum":
            checksum = value
        elif word == "end":
            end = cpu_seconds(process.pid)
        elif None not in (begin, end, checksum):
            return Run(end - begin, int(value), checksum)
    raise Failure("it ended without the guest's end marker")


def run(simulator, guest, kernel, arguments, timeout):
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        command, console = simulator.command(kernel, arguments, directory)
        # Opened for writing too: such a FIFO neither blocks nor ends before the simulator has it.
        fifo = None if console is None else os.open(console, os.O_RDWR)
        with open(directory / "messages", "w+b") as messages, subprocess.Popen(
                list(map(str, command)), stdin=subprocess.DEVNULL, stderr=messages,
                stdout=subprocess.PIPE if fifo is None else messages, start_new_session=True) as process:
            try:
                return follow(guest, process.stdout.fileno() if fifo is None else fifo, process, timeout)
            except Failure as failure:
                messages.seek(0)
                said = messages.read()[-1000:].decode(errors="replace")
                raise Failure(f"{simulator.name}, guest {guest}: {failure}\n{said}") from None
            finally:
                process.kill()
                if fifo is not None:
                    os.close(fifo)


class Progress:
    """One line on a terminal, with an estimate from the second repetition on; a line a repetition elsewhere."""

    def __init__(self, repetitions, steps):
        self.repetitions, self.steps = repetitions, steps
        self.done, self.start = 0, time.monotonic()

    def show(self, text):
        elapsed = time.monotonic() - self.start
        repetition = self.done // self.steps + 1
        left = ""
        if self.done >= self.steps:
            left = f", {elapsed / self.done * (self.steps * self.repetitions - self.done) / 60:.0f} min left"
        line = f"[{elapsed / 60:4.1f} min] repetition {repetition} of {self.repetitions}{left}: {text}"
        if sys.stderr.isatty():
            print(f"\r{line:79}\r", end="", file=sys.stderr, flush=True)
        elif self.done % self.steps == 0:
            print(f"peers: {line} …", file=sys.stderr, flush=True)
        self.done += 1

    def time_for_another(self, minutes):
        """Whether one more repetition like those before would end in time. The first always is."""
        elapsed, repetitions = time.monotonic() - self.start, self.done // self.steps
        return repetitions == 0 or elapsed / repetitions * (repetitions + 1) <= minutes * 60

    def finish(self):
        if sys.stderr.isatty():
            print(" " * 79, end="\r", file=sys.stderr, flush=True)
        return time.monotonic() - self.start


def measure(simulators, boots, options):
    """{(guest, simulator's name): [Run, …]}, {simulator's name: [Boot, …]} and how long it took. Repetitions are the
    outermost loop, so that a disturbance touches all alike."""
    runs, booted = {}, {}
    progress = Progress(options.repetitions, len(simulators) * len(options.guests) + len(boots))
    for repetition in range(options.repetitions):
        if not progress.time_for_another(options.minutes):
            print(f"peers: {repetition} of {options.repetitions} repetitions within {options.minutes:.0f} minutes",
                  file=sys.stderr)
            options.repetitions = repetition
            break
        for guest in options.guests:
            for simulator in simulators:
                progress.show(f"{guest} on {simulator.name}")
                result = run(simulator, guest, options.directory / f"bench_{guest}", options.arguments, options.timeout)
                runs.setdefault((guest, simulator.name), []).append(result)
        for name, boot_on in list(boots.items()):
            progress.show(f"Linux on {name}")
            try:
                result = boot_on(options.build / "bunshin", *options.linux, options.timeout)
                booted.setdefault(name, []).append(result)
            except Failure as failure:  # the other results are worth keeping
                print(f"peers: Linux on {name}: {failure}", file=sys.stderr)
                boots.pop(name)
                booted.pop(name, None)
    return runs, booted, progress.finish()


def record(guest, simulator, seconds, instructions, mips, checksum):
    return {"guest": guest, "simulator": simulator.name, "mode": simulator.mode, "cpu_seconds": seconds,
            "instructions": instructions, "mips": mips, "checksum": checksum}


def summarise_boots(simulators, booted):
    """The same records for the boot, whose time is that of the whole process; the instructions are those of ours."""
    records = []
    for simulator in (s for s in simulators if s.name in booted):
        seconds = statistics.median(b.cpu_seconds for b in booted[simulator.name])
        instructions = booted["bunshin"][0].instructions
        records.append(record("linux", simulator, seconds, instructions, instructions / seconds / 1e6,
                              booted[simulator.name][0].checksum))
    checksums = {b.checksum for all_of_one in booted.values() for b in all_of_one}
    if len(checksums) > 1:
        raise Failure(f"the Linux workload printed different results: {booted}")
    return records


def summarise(simulators, runs, options):
    """One record for each guest and simulator; the instructions are what ours counts: without timing a cycle is one."""
    records = []
    for guest in options.guests:
        instructions = runs[guest, "bunshin"][0].cycles
        for simulator in simulators:
            mine = runs[guest, simulator.name]
            seconds = statistics.median(r.cpu_seconds for r in mine)
            mips = instructions / seconds / 1e6 if seconds else None
            records.append(record(guest, simulator, seconds, instructions, mips, mine[0].checksum))
        checksums = {r.checksum for s in simulators for r in runs[guest, s.name]}
        if len(checksums) != 1:
            raise Failure(f"guest {guest}: the checksums differ: " +
                          ", ".join(f"{s.name} {r.checksum}" for s in simulators for r in runs[guest, s.name]))
    return records


def number(value, digits):
    return "-" if value is None else f"{value:.{digits}f}"


def print_table(simulators, records, options):
    mips = {(r["guest"], r["simulator"]): r["mips"] for r in records}
    instructions = {r["guest"]: r["instructions"] for r in records}
    peers = [s for s in simulators if s.name != "bunshin"]
    header = ["guest", *(f"ours / {p.name}" for p in peers), *(f"{s.name} MIPS" for s in simulators), "M instructions"]
    rows, ratios = [], {p.name: [] for p in peers}
    for guest in options.guests:
        row = [guest]
        for peer in peers:
            ours, theirs = mips[guest, "bunshin"], mips[guest, peer.name]
            ratio = ours / theirs if ours and theirs else None
            row.append(number(ratio, 2))
            ratios[peer.name].append(ratio)
        row += [number(mips[guest, s.name], 1) for s in simulators] + [number(instructions[guest] / 1e6, 1)]
        rows.append(row)
    rows.append(["geometric mean", *(number(mean(r), 2) for r in ratios.values()), *[""] * (len(simulators) + 1)])
    print(f"CPU time between the guests' own markers, median of {options.repetitions}; checksums agree.\n")
    for row in [header, ["---"] * len(header), *rows]:
        print("| " + " | ".join(row) + " |")


def mean(ratios):
    """Geometric; None if one is missing."""
    return math.exp(statistics.fmean(map(math.log, ratios))) if ratios and None not in ratios else None


def speed(records, guest, peer):
    """Ours divided by the peer's, None if either was not measured."""
    seconds = {r["simulator"]: r["cpu_seconds"] for r in records if r["guest"] == guest}
    ours, theirs = seconds.get("bunshin"), seconds.get(peer)
    return theirs / ours if ours and theirs else None


RELATIONS = {"at least": operator.ge, "at most": operator.le, "below": operator.lt}


def print_floors(records, booted):
    """What must hold, and whether it does. A guest that was left out leaves its floors out."""
    of_qemu = [speed(records, guest, "qemu") for guest in GUESTS]
    boot_speed = speed(records, "linux", "qemu")
    own = max((b.own_bytes / boot.MIB for b in booted.get("bunshin", ())), default=None)
    floors = [
        ("all guests, geometric mean, beside QEMU's interpreter", mean(of_qemu), "at least", 0.6),
        ("int, beside QEMU's interpreter", speed(records, "int", "qemu"), "at least", 0.3),
        ("mix, beside QEMU's interpreter", speed(records, "mix", "qemu"), "at least", 0.3),
        ("mix, beside Debian's Bochs", speed(records, "mix", "bochs"), "at least", 6),
        ("boot of Linux, CPU time beside QEMU's interpreter", 1 / boot_speed if boot_speed else None, "at most", 2.5),
        ("host memory beyond touched guest RAM, MiB", own, "below", 250),
    ]
    print("\n| floor | measured | wanted | |\n| --- | --- | --- | --- |")
    for name, value, relation, bound in floors:
        if value is None:
            verdict = "not measured"
        else:
            verdict = "PASS" if RELATIONS[relation](value, bound) else "MISS"
        print(f"| {name} | {number(value, 2)} | {relation} {bound} | {verdict} |")


def parse():
    parser = argparse.ArgumentParser(prog="benchmarks/peers.sh", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5, metavar="N", help="runs of each; the median counts (5)")
    parser.add_argument("--guests", default=",".join(GUESTS), help="some of " + ",".join(GUESTS))
    parser.add_argument("--simulators", default="qemu,bochs", help="peers to run: qemu,bochs")
    parser.add_argument("--short", action="store_true", help="guests of a fraction of a second: checksums, no speeds")
    parser.add_argument("--minutes", type=float, default=60, metavar="M",
                        help="no further repetition that would end later than this (60)")
    parser.add_argument("--no-linux", action="store_true", help="leave out the boot of Linux")
    parser.add_argument("--json", metavar="FILE", help="also write the results there")
    parser.add_argument("--timeout", type=float, default=600, metavar="S", help="seconds for one run (600)")
    parser.add_argument("--build", type=pathlib.Path, default=SOURCE / "build/release", metavar="DIR",
                        help="where bunshin and guests/ are built (build/release)")
    options = parser.parse_args()
    options.guests = options.guests.split(",")
    unknown = set(options.guests) - set(GUESTS) | set(options.simulators.split(",")) - {"qemu", "bochs", ""}
    if unknown or options.repetitions < 1:
        parser.error(f"unknown: {', '.join(sorted(unknown))}" if unknown else "--repetitions takes 1 or more")
    options.arguments = "short" if options.short else ""
    options.directory = options.build / "guests"
    return options


def linux_boots(simulators, options):
    """Who boots Linux, by name. Not Bochs: the boot is measured beside the fast one."""
    names = {s.name for s in simulators}
    if options.no_linux or options.short:
        return {}
    options.linux, why = boot.prepare()
    if why:
        print(f"peers: without the boot of Linux: {why}", file=sys.stderr)
        return {}
    return {name: how for name, how in (("bunshin", boot.on_bunshin), ("qemu", boot.on_qemu)) if name in names}


def main():
    options = parse()
    simulators = [Bunshin(options.build / "bunshin")]
    for peer in (Qemu(), Bochs()):
        if peer.name in options.simulators.split(","):
            simulators.append(peer)
    for simulator in list(simulators):
        why = simulator.missing()
        if why and simulator.name == "bunshin":
            raise Failure(why)
        if why:
            print(f"peers: without {simulator.name}: {why}", file=sys.stderr)
            simulators.remove(simulator)
    runs, booted, seconds = measure(simulators, linux_boots(simulators, options), options)
    records = summarise(simulators, runs, options)
    print_table(simulators, records, options)
    records += summarise_boots(simulators, booted)
    print_floors(records, booted)
    print(f"\nMeasured in {seconds / 60:.1f} minutes.")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(records, indent=2) + "\n")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"peers: {failure}")
