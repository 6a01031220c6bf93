"""The boot of run.sh's Linux workload, here and on QEMU's interpreter: the processes' CPU time and memory."""

import dataclasses
import hashlib
import json
import os
import pathlib
import subprocess
import tempfile
import time

SOURCE = pathlib.Path(__file__).resolve().parent.parent
MEMORY_MIB = 512  # as the simulator's default
CMDLINE = "console=ttyS0 panic=-1"
DONE = b"bunshin: workload done"
MIB = 1 << 20


class Failure(Exception):
    """What the user is told, without a trace."""


@dataclasses.dataclass
class Boot:
    cpu_seconds: float
    checksum: str
    instructions: int = 0
    peak_bytes: int = 0  # of host memory
    guest_bytes: int = 0  # of it, RAM that the guest touched

    @property
    def own_bytes(self):
        return self.peak_bytes - self.guest_bytes


def prepare():
    """The kernel and the initramfs; None and the reason where their packages cannot be had."""
    process = subprocess.run([SOURCE / "tools/prepare_linux.sh"], capture_output=True, text=True, check=False)
    if process.returncode != 0:
        return None, process.stderr.strip() or "tools/prepare_linux.sh failed"
    return process.stdout.split("\n")[-2].split(), None


def workload_checksum(console):
    """Of the lines that the workload prints, which are the same wherever it runs."""
    found = [line.strip() for line in console.split(b"\n") if line.startswith(b"workload ")]
    if DONE not in console or not found:
        raise Failure("the guest did not finish its workload; the last it printed:\n" +
                      console[-600:].decode(errors="replace"))
    return hashlib.sha256(b"\n".join(found)).hexdigest()[:16]


def finish(command, timeout):
    """Runs to the end; console output, CPU time and peak memory."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        deadline = time.monotonic() + timeout
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid != 0:
                break
            if time.monotonic() > deadline:
                process.kill()
                os.wait4(process.pid, 0)
                raise Failure(f"{command[0]}: no end within {timeout:.0f} s")
            time.sleep(0.05)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        console = output.read()
    if process.returncode != 0:
        tail = console[-600:].decode(errors="replace")
        raise Failure(f"{command[0]} ended with status {process.returncode}:\n{tail}")
    return console, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def on_bunshin(executable, kernel, initramfs, timeout):
    with tempfile.TemporaryDirectory() as out:
        console, seconds, peak = finish(
            [executable, "run", SOURCE / "configs/experiment/linux.yaml", "--quiet", "--timing", "none", "--out", out,
             "--set", f"guest.kernel={kernel}", "--set", f"guest.initrd={initramfs}", "--set",
             f"guest.cmdline={CMDLINE}", "--set", f"machine.memory={MEMORY_MIB}MiB"], timeout)
        stats = json.loads((pathlib.Path(out) / "stats.json").read_text())
    return Boot(seconds, workload_checksum(console), stats["sim.instructions"]["value"], peak,
                stats["memory.resident"]["value"])


def on_qemu(_executable, kernel, initramfs, timeout):
    console, seconds, peak = finish(
        ["qemu-system-x86_64", "-accel", "tcg,thread=single", "-cpu", "max", "-m", str(MEMORY_MIB), "-display", "none",
         "-serial", "stdio", "-no-reboot", "-kernel", kernel, "-initrd", initramfs, "-append", CMDLINE], timeout)
    return Boot(seconds, workload_checksum(console), peak_bytes=peak)
