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
# Where Bochs puts the kernel: larger ones do not fit into a ROM.
KERNEL_ADDRESS = 0x2000000


def configuration(directory, serial, memory, model):
    firmware = peers.Bochs.firmware
    return f"""\
megs: {memory}
cpu: model={model}, ips=50000000
clock: sync=none
romimage: file={firmware}/BIOS-bochs-latest
vgaromimage: file={firmware}/VGABIOS-lgpl-latest
optromimage1: file={directory}/rom.bin, address=0xd0000
optramimage1: file={directory}/kernel.bin, address={KERNEL_ADDRESS:#x}
plugin_ctrl: speaker=0, sb16=0, es1370=0, e1000=0, ne2k=0, usb_uhci=0, voodoo=0
display_library: rfb, options="timeout=0"
com1: enabled=1, mode=file, dev={serial}
log: {directory}/bochs.log
panic: action=fatal
error: action=ignore
info: action=ignore
"""


def run(kernel, last_lines, memory=64, timeout=60, model=MODEL, arguments=""):
    """What the guest printed up to and with a line that begins with one of `last_lines`.

    Bochs itself never ends: it has no port to be ended by. Skips where Bochs is missing."""
    missing = peers.Bochs().missing()
    if missing:
        raise unittest.SkipTest(missing)
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        serial = directory / "serial"
        rom = peers.option_rom(pathlib.Path(kernel), arguments, directory, KERNEL_ADDRESS)
        (directory / "rom.bin").write_bytes(rom)
        (directory / "bochsrc").write_text(configuration(directory, serial, memory, model))
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
