"""What virtual machines cost: world switches beside published figures, exits one by one, walks in two dimensions."""

import collections
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

import bunshin_process
from bunshin_process import BUNSHIN, GUESTS, SOURCE, run

BENCHMARKS = SOURCE / "benchmarks"
SKYLAKE = f"include={SOURCE / 'configs/cpu/skylake.yaml'}"


def walks_of(config, *settings):
    """The walks of the program in its virtual machine whose translations succeed, from --walk-trace."""
    with tempfile.TemporaryDirectory() as directory:
        trace = pathlib.Path(directory) / "walks"
        options = [item for setting in settings for item in ("--set", setting)]
        result = run(config, {"guest.kernel": GUESTS / "tlb_bound_nested", "machine.timing": "inorder"},
                     [*options, "--walk-trace", trace, "--max-cycles", 12_000_000])
        if result.status != 3:
            raise AssertionError(str(result))
        lines = trace.read_text().splitlines()
    walks = [json.loads(line) for line in lines]
    window = 256 << 30  # the program's data; what comes before is the hypervisor's beginning
    return [w for w in walks if int(w["linear"], 16) >= window and w["result"] == "translated" and "cycles" in w]


class WorldSwitches(unittest.TestCase):
    def check(self, timing):
        process = subprocess.run([sys.executable, BENCHMARKS / "world_switch.py", "--bunshin", BUNSHIN, "--guest",
                                  GUESTS / "world_switch", "--timing", timing, "--check"],
                                 capture_output=True, text=True, timeout=250, check=False)
        self.assertEqual(process.returncode, 0, process.stdout + process.stderr)

    def test_round_trips_are_the_published_ones_out_of_order(self):
        self.check("ooo")

    def test_round_trips_are_the_published_ones_in_order(self):
        self.check("inorder")


class Exits(unittest.TestCase):
    def trace(self, profile):
        with tempfile.TemporaryDirectory() as directory:
            trace = pathlib.Path(directory) / "exits"
            result = run("multiboot.yaml", {"guest.kernel": GUESTS / "world_switch", "machine.memory": "256MiB"},
                         ["--set", f"include={SOURCE / 'configs/cpu' / profile}.yaml", "--timing", "ooo",
                          "--exit-trace", trace])
            self.assertEqual(result.status, 0, result)
            return result, [json.loads(line) for line in trace.read_text().splitlines()]

    def compare(self, profile, hypercall):
        result, exits = self.trace(profile)
        counted = collections.Counter(e["name"] for e in exits)
        self.assertEqual(counted[hypercall], 1020)
        self.assertEqual(sum(counted.values()), result.stats["core0.vm.exits"])
        for name, count in counted.items():
            self.assertEqual(result.stats[f"core0.vm.exits.{name}.count"], count)
            cycles = sum(e.get("host_cycles", 0) for e in exits if e["name"] == name)
            self.assertEqual(result.stats[f"core0.vm.exits.{name}.cycles"], cycles, name)
        self.assertNotIn("host_cycles", exits[-1], "no entry follows")

    def test_trace_and_statistics_agree_on_vtx(self):
        self.compare("skylake", "vmcall")

    def test_trace_and_statistics_agree_on_svm(self):
        self.compare("zen3", "vmmcall")


class TwoDimensions(unittest.TestCase):
    def test_a_cold_walk_of_four_levels_on_four_makes_25_accesses_with_the_datas(self):
        for settings in ([], [SKYLAKE]):
            walks = walks_of("nested-walk-cold.yaml", *settings)
            self.assertGreater(len(walks), 100)
            self.assertEqual({w["references"] for w in walks}, {24})

    def test_caches_of_translation_leave_few_of_them(self):
        for settings in ([], [SKYLAKE]):
            walks = walks_of("nested-walk.yaml", *settings)
            self.assertGreater(len(walks), 100)
            self.assertLess(sum(w["references"] for w in walks) / len(walks), 8)
            self.assertTrue(any(step["dimension"] == 2 for w in walks for step in w["steps"]))


if __name__ == "__main__":
    bunshin_process.main()
