"""What the simulator takes of the host's memory for itself: everything but the guest's RAM that the guest has touched."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import bunshin_process
from bunshin_process import BUNSHIN, SOURCE, prepare

LIMIT = 250 << 20


def own_memory(config, **settings):
    """Peak of resident memory, less the touched RAM, in bytes."""
    with tempfile.TemporaryDirectory() as out:
        command = [BUNSHIN, "run", str(SOURCE / "configs/experiment" / config), "--quiet", "--out", out]
        for key, value in settings.items():
            command += ["--set", f"{key.replace('__', '.')}={value}"]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise RuntimeError(f"{command} ended with status {process.returncode}")
        stats = json.loads((pathlib.Path(out) / "stats.json").read_text())
    return usage.ru_maxrss * 1024 - stats["memory.resident"]["value"]


class Memory(unittest.TestCase):
    def linux(self, **settings):
        kernel, initramfs = prepare("prepare_linux.sh", *(["--load", "threads"] if settings else []))
        return own_memory("linux.yaml", guest__kernel=kernel, guest__initrd=initramfs, **settings)

    def test_linux_on_one_processor(self):
        self.assertLess(self.linux(), LIMIT)

    def test_linux_on_eight_processors(self):
        self.assertLess(self.linux(machine__cores=8), LIMIT)

    def test_a_large_machine_that_is_idle(self):
        kernel = bunshin_process.GUESTS / "hello"
        self.assertLess(own_memory("multiboot.yaml", guest__kernel=kernel, machine__memory="64GiB"), LIMIT)


if __name__ == "__main__":
    bunshin_process.main()
