"""The benchmark guests in their short size: the same checksum here and on QEMU, and as many cycles on every run."""

import re
import subprocess
import sys
import tempfile
import pathlib
import unittest

import bunshin_process
from bunshin_process import GUESTS, SOURCE

sys.path.insert(0, str(SOURCE / "benchmarks"))
import peers  # noqa: E402


def here(guest):
    settings = {"guest.kernel": GUESTS / f"bench_{guest}", "guest.cmdline": "short",
                "machine.memory": f"{peers.MEMORY_MIB}MiB"}
    return bunshin_process.run("multiboot.yaml", settings, ("--quiet", "--max-cycles", 1_000_000_000))


def there(guest):
    qemu = peers.Qemu()
    if qemu.missing():
        raise unittest.SkipTest(qemu.missing())
    with tempfile.TemporaryDirectory() as directory:
        command, _ = qemu.command(GUESTS / f"bench_{guest}", "short", pathlib.Path(directory))
        return subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True, timeout=120,
                              check=False).stdout


def without_cycles(console):
    return re.sub(rb"cycles \d+", b"cycles", console.replace(b"\r", b""))


class Benchmarks(unittest.TestCase):
    def test_checksums_are_qemus(self):
        for guest in peers.GUESTS:
            with self.subTest(guest):
                ours = here(guest)
                self.assertEqual(ours.status, 0, ours)
                self.assertIn(f"bench {guest} end\n".encode(), ours.console)
                self.assertEqual(without_cycles(ours.console), without_cycles(there(guest)))

    def test_each_run_ends_well_and_takes_the_same_cycles(self):
        for guest in peers.GUESTS:
            with self.subTest(guest):
                first, second = here(guest), here(guest)
                self.assertEqual(first.status, 0, first)
                self.assertEqual(first.console, second.console)


if __name__ == "__main__":
    bunshin_process.main()
