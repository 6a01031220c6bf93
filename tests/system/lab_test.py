"""The lab kernel (docs/lab_kernel.md): the same console on QEMU, Bochs and every kind of processor here, but for how long
things took; its shell; how it ends."""

import json
import re
import subprocess
import sys
import tempfile
import unittest

import bochs
import bunshin_process
from bunshin_process import GUESTS, SOURCE, run, run_qemu

EVERYTHING = "run=check; run=sensitive; run=bench count=64 footprint=1M"
IMAGES = {"lab": "generic", "lab32": "p4-northwood"}
LIMIT = ("--max-cycles", 20_000_000_000)


def boot(image, arguments, profile=None, options=LIMIT, keys=None):
    settings = {"include": SOURCE / "configs/cpu" / f"{profile or IMAGES[image]}.yaml", "guest.kernel": GUESTS / image,
                "guest.cmdline": arguments}
    return run("lab.yaml", settings, options, keys=keys)


def text(console):
    return console.decode(errors="replace").replace("\r", "")


def without_cycles(console):
    return re.sub(r"\d+\.\d\d cycles", "N cycles", text(console))


def cycles(console):
    found = re.findall(r"^lab: bench (\w+) (\d+\.\d\d) cycles$", text(console), re.MULTILINE)
    return {name: float(value) for name, value in found}


class SameAsPeers(unittest.TestCase):
    def test_qemu(self):
        for image in IMAGES:
            with self.subTest(image=image):
                here = boot(image, EVERYTHING)
                self.assertEqual(here.status, 0, here)
                there, value = run_qemu(GUESTS / image, arguments=EVERYTHING)
                self.assertEqual(without_cycles(there), without_cycles(here.console))
                self.assertEqual(value, 0)

    def test_bochs(self):
        for image in IMAGES:
            with self.subTest(image=image):
                here = boot(image, EVERYTHING)
                there = bochs.run(GUESTS / image, ["lab: power off", "lab: panic"], timeout=120, arguments=EVERYTHING)
                self.assertEqual(without_cycles(there), without_cycles(here.console))


class Processors(unittest.TestCase):
    def on(self, image, profile, timing):
        end = boot(image, EVERYTHING, profile, (*LIMIT, "--timing", timing))
        self.assertEqual(end.status, 0, end)
        self.assertNotIn(b"FAILED", end.console)
        self.assertNotIn(b"differs", end.console)
        self.assertEqual(len(cycles(end.console)), 11 if image == "lab" else 10, end)

    def test_profiles(self):
        for profile in ("generic", "p4-672", "nehalem", "barcelona", "zen3"):
            for timing in ("none", "inorder"):
                with self.subTest(profile=profile, timing=timing):
                    self.on("lab", profile, timing)

    def test_32_bit_profiles(self):
        for profile in ("p4-northwood", "nehalem"):
            for timing in ("none", "inorder"):
                with self.subTest(profile=profile, timing=timing):
                    self.on("lab32", profile, timing)

    def test_costs_come_from_the_machine(self):
        """On the processor that Adams and Agesen measured: what is slow there is slow here, in their order."""
        with tempfile.NamedTemporaryFile() as figures:
            process = subprocess.run(
                [sys.executable, SOURCE / "benchmarks/nanobenchmarks.py", "--bunshin", bunshin_process.BUNSHIN, "--guests",
                 GUESTS, "--arguments", "count=256 footprint=4M", "--check", "--json", figures.name],
                capture_output=True, text=True, timeout=120, check=False)
            self.assertEqual(process.returncode, 0, process.stdout + process.stderr)
            took = json.loads(figures.read())["native"]
        self.assertGreater(took["walk4k"], took["walk2m"])


class Use(unittest.TestCase):
    def test_shell(self):
        # No limit: without timing an idle guest may reach any before the keys do.
        end = boot("lab", "", options=(), keys=b"write note hello\ncat note\necho a b\nnosuch\nls\nexit\n")
        self.assertEqual(end.status, 0, end)
        self.assertIn("lab> cat note\nhello\nlab> echo a b\na b\nlab> nosuch\nlab: no program nosuch\nstatus 127\n",
                      text(end.console))
        self.assertIn("lab> ls\ncmdline\nnote\n", text(end.console))

    def test_power_off_by_acpi(self):
        end = boot("lab", "run=echo good power=acpi")
        self.assertEqual(end.status, 0, end)
        self.assertIn("powered off", end.messages)

    def test_failures_count(self):
        end = boot("lab", "run=nosuch; run=echo next")
        self.assertEqual(end.status, 1, end)
        self.assertIn("lab: echo ended with status 0\nlab: power off, 1 failed\n", text(end.console))

    def test_little_memory(self):
        for image in IMAGES:
            with self.subTest(image=image):
                settings = {"guest.kernel": GUESTS / image, "machine.memory": "4MiB",
                            "guest.cmdline": "run=forkwait count=8; run=walk2m"}
                end = run("lab.yaml", settings, LIMIT)
                self.assertEqual(end.status, 0, end)
                self.assertIn(b"lab: bench walk2m none", end.console)

    def test_repeats(self):
        first, second = boot("lab", EVERYTHING), boot("lab", EVERYTHING)
        for name in ("sim.cycles", "sim.instructions", "sim.state_hash"):
            self.assertEqual(first.stats[name], second.stats[name], name)


class BadNeighbours(unittest.TestCase):
    def test_endings(self):
        for image in IMAGES:
            for name, status in (("panic", 1), ("hang", 3), ("scribble", 3), ("triplefault", 1)):
                with self.subTest(image=image, name=name):
                    end = boot(image, f"run={name}", options=("--max-cycles", 1_000_000_000))
                    self.assertEqual(end.status, status, end)


if __name__ == "__main__":
    bunshin_process.main()
