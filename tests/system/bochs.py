"""Runs a guest on Debian's Bochs. Its BIOS loads no kernels, so an option ROM carries one (benchmarks/bochs_rom.S)."""

import os
import pathlib
import select
import subprocess
import sys
import tempfile
import time
import unittest

from bunshin_process import SOURCE

sys.path.insert(0, str(SOURCE / "benchmarks"))
import peers  # noqa: E402  (the folder is no package)

# The package knows neither five-level paging with this model nor several processors (it is built without SMP).
MODEL = "corei7_skylake_x"
# Where Bochs puts the kernel: larger ones do not fit into a ROM. Modules follow.
KERNEL_ADDRESS = 0x2000000
MODULE_ADDRESS = 0x3000000
# Bochs reads a file into memory as if all of its memory lay together, which is so within pieces of this size only.
PIECE = 0x20000


def memory_images(directory, files):
    """Lines that have Bochs load files at addresses. It knows four, of a piece each."""
    lines = []
    for path, address in files:
        data = path.read_bytes()
        for offset in range(0, len(data), PIECE):
            piece = directory / f"piece{len(lines)}"
            piece.write_bytes(data[offset:offset + PIECE])
            lines.append(f"optramimage{len(lines) + 1}: file={piece}, address={address + offset:#x}\n")
    assert len(lines) <= 4, "more than Bochs can load"
    return "".join(lines)


def configuration(directory, serial, memory, model, images):
    firmware = peers.Bochs.firmware
    return f"""\
megs: {memory}
cpu: model={model}, ips=50000000
clock: sync=none
romimage: file={firmware}/BIOS-bochs-latest
vgaromimage: file={firmware}/VGABIOS-lgpl-latest
optromimage1: file={directory}/rom.bin, address=0xd0000
{images}plugin_ctrl: speaker=0, sb16=0, es1370=0, e1000=0, ne2k=0, usb_uhci=0, voodoo=0
display_library: rfb, options="timeout=0"
com1: enabled=1, mode=file, dev={serial}
com2: enabled=1, mode=file, dev={directory}/com2
log: {directory}/bochs.log
panic: action=fatal
error: action=ignore
info: action=ignore
"""


def join_modules(directory, modules):
    """Modules, (name, bytes), in one file, on page boundaries: (name, address, bytes)."""
    page, joined, table = 4096, bytearray(), []
    for name, data in modules:
        table.append((name, MODULE_ADDRESS + len(joined), len(data)))
        joined += data + bytes(-len(data) % page)
    (directory / "modules.bin").write_bytes(joined)
    return table


def run(kernel, last_lines, memory=64, timeout=60, model=MODEL, arguments="", modules=()):
    """What the guest printed up to and with a line that begins with one of `last_lines`.

    Bochs ends only if the guest finds its ACPI soft-off. Skips where Bochs is missing."""
    missing = peers.Bochs().missing()
    if missing:
        raise unittest.SkipTest(missing)
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        serial = directory / "serial"
        table = join_modules(directory, modules)
        rom = peers.option_rom(pathlib.Path(kernel), arguments, directory, KERNEL_ADDRESS, table, memory)
        (directory / "rom.bin").write_bytes(rom)
        images = memory_images(directory, [(directory / "kernel.bin", KERNEL_ADDRESS),
                                           (directory / "modules.bin", MODULE_ADDRESS)])
        (directory / "bochsrc").write_text(configuration(directory, serial, memory, model, images))
        # The package is built with the debugger, which waits for its first command.
        (directory / "commands").write_text("c\nq\n")
        os.mkfifo(serial)
        # Opened for writing too: such a FIFO neither blocks nor ends before Bochs has it.
        console = os.open(serial, os.O_RDWR)
        try:
            with open(directory / "messages", "w+b") as messages, subprocess.Popen(
                    ["bochs", "-q", "-f", directory / "bochsrc", "-rc", directory / "commands"],
                    stdin=subprocess.DEVNULL, stdout=messages, stderr=messages, start_new_session=True) as process:
                try:
                    return collect(console, process, tuple(map(str.encode, last_lines)), timeout)
                finally:
                    process.kill()
        finally:
            os.close(console)


def collect(console, process, last_lines, timeout):
    printed = b""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        ready, _, _ = select.select([console], [], [], 0.2)
        if ready:
            printed += os.read(console, 65536)
            if any(line.startswith(last_lines) for line in printed.split(b"\n")[:-1]):
                return printed
        elif process.poll() is not None:
            break
    return printed
