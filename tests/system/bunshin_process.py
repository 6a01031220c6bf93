"""Runs the `bunshin` command, and QEMU beside it, for the tests of this folder."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ.get("BUNSHIN_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
BUNSHIN = os.environ.get("BUNSHIN", str(SOURCE / "build/release/bunshin"))
GUESTS = pathlib.Path(os.environ.get("BUNSHIN_GUESTS", SOURCE / "build/release/guests"))
PACKAGES = SOURCE / "build/guests"
SKIPPED = 77


class Run:
    """What one run left behind."""

    def __init__(self, process, out):
        self.status = process.returncode
        self.console = process.stdout
        self.messages = process.stderr.decode(errors="replace")
        com2 = out / "com2.log"
        self.com2 = com2.read_text(errors="replace") if com2.exists() else ""
        stats = out / "stats.json"
        self.stats = {}
        if stats.exists():
            self.stats = {name: entry["value"] for name, entry in json.loads(stats.read_text()).items()}

    def __str__(self):
        tail = self.console[-3000:].decode(errors="replace")
        second = f"\n--- COM2, last part\n{self.com2[-3000:]}" if self.com2 else ""
        return f"status {self.status}\n{self.messages[-3000:]}\n--- console, last part\n{tail}{second}"


def command(*arguments, timeout=60):
    """`bunshin ARGUMENTS`, without input. Negative statuses are signals, as subprocess has it."""
    with tempfile.TemporaryDirectory() as directory:
        process = subprocess.run([BUNSHIN, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True,
                                 timeout=timeout, check=False)
        return Run(process, pathlib.Path(directory))


def run(config, settings=None, options=(), timeout=120, keys=None):
    """`bunshin run CONFIG` with `settings` (a dictionary for --set); `keys` are typed on the serial line at once."""
    if not pathlib.Path(config).is_absolute():
        config = SOURCE / "configs/experiment" / config
    with tempfile.TemporaryDirectory() as directory:
        arguments = [BUNSHIN, "run", str(config), "--out", directory]
        for key, value in (settings or {}).items():
            arguments += ["--set", f"{key}={value}"]
        arguments += map(str, options)
        given = {"input": keys} if keys is not None else {"stdin": subprocess.DEVNULL}
        process = subprocess.run(arguments, capture_output=True, timeout=timeout, check=False, **given)
        return Run(process, pathlib.Path(directory))


def run_qemu(kernel, processors=1, memory=64, timeout=60, arguments=""):
    """The same guest on QEMU's interpreter. Returns its serial output and debug-exit value; skips where there is none."""
    qemu = shutil.which("qemu-system-x86_64")
    if qemu is None:
        raise unittest.SkipTest("qemu-system-x86_64 is not installed")
    process = subprocess.run(
        [qemu, "-machine", "q35", "-accel", "tcg", "-cpu", "max", "-smp", str(processors), "-m", str(memory),
         "-display", "none", "-serial", "stdio", "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
         "-kernel", str(kernel), "-append", arguments],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False)
    # isa-debug-exit ends QEMU with value * 2 + 1.
    return process.stdout, process.returncode >> 1 if process.returncode & 1 else None


def prepare(tool, *arguments, timeout=900):
    """Runs a preparation script of tools/ and returns the files that it names; skips where it cannot get its packages."""
    process = subprocess.run([str(SOURCE / "tools" / tool), *arguments], capture_output=True, text=True, timeout=timeout,
                             check=False)
    if process.returncode == 3:
        raise unittest.SkipTest(process.stderr.strip())
    if process.returncode != 0:
        raise RuntimeError(f"{tool} failed: {process.stderr}")
    return [pathlib.Path(name) for name in process.stdout.split("\n")[-2].split()]


def without_times(console):
    """The kernel's log without its time stamps."""
    return re.sub(rb"^\[ *\d+\.\d+\] ", b"", console, flags=re.MULTILINE)


def main():
    """unittest.main() with a status of its own when everything was skipped, which ctest reports as such."""
    program = unittest.main(module="__main__", exit=False, verbosity=2)
    result = program.result
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(SKIPPED if result.testsRun and len(result.skipped) == result.testsRun else 0)
