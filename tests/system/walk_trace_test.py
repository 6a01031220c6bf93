"""`run --walk-trace`: the walks of real guests, in every timing mode."""

import json
import pathlib
import tempfile
import unittest

import bunshin_process
from bunshin_process import GUESTS, run

ADDRESS = 0x000F_FFFF_FFFF_F000
MODES = ("none", "inorder", "ooo")


def traced(guest, timing, cycles=None, **settings):
    """The run, and the lines of its trace."""
    settings = {"guest.kernel": GUESTS / guest, "guest.cmdline": "short", "machine.memory": "1GiB",
                "machine.timing": timing, **settings}
    with tempfile.TemporaryDirectory() as directory:
        file = pathlib.Path(directory) / "walks"
        limit = ("--max-cycles", cycles) if cycles else ()
        end = run("multiboot.yaml", settings, ("--quiet", "--walk-trace", file, *limit))
        return end, [json.loads(line) for line in file.read_text().splitlines()]


def page_of(entry):
    return int(entry, 16) & ADDRESS


class TlbMisses(unittest.TestCase):
    """The benchmark that misses every TLB, cut off after its tables are built."""

    def trace(self, timing):
        end, walks = traced("bench_tlbmiss", timing, cycles=2_000_000)
        self.assertEqual(end.status, 3, end)
        self.assertGreater(len(walks), 1000)
        return end, walks

    def test_each_walk_is_there_with_each_reference(self):
        for timing in MODES:
            with self.subTest(timing):
                end, walks = self.trace(timing)
                self.assertEqual(len(walks), end.stats["core0.walker.walks"])
                self.assertEqual(sum(w["references"] for w in walks), end.stats["core0.walker.references"])

    def test_entries_lead_from_step_to_step(self):
        for timing in MODES:
            with self.subTest(timing):
                for walk in self.trace(timing)[1]:
                    reads = [s for s in walk["steps"] if not s.get("update")]
                    self.assertEqual(len(reads), walk["references"])
                    self.assertEqual([s["level"] for s in reads], sorted((s["level"] for s in reads), reverse=True))
                    for above, below in zip(reads, reads[1:]):
                        self.assertEqual(page_of(above["entry"]), page_of(below["address"]))
                    if walk["result"] == "translated":
                        offset = int(walk["linear"], 16) % walk["page"]
                        base = page_of(reads[-1]["entry"]) & -walk["page"]
                        self.assertEqual(int(walk["physical"], 16), base | offset)

    def test_without_timing_walks_begin_at_the_root_and_cost_nothing(self):
        for walk in self.trace("none")[1]:
            self.assertNotIn("cycles", walk)
            self.assertFalse(any("hit" in s or "cycles" in s for s in walk["steps"]))
            self.assertEqual((walk["mode"], walk["steps"][0]["level"]), ("4-level", 4))

    def test_with_timing_each_step_says_where_it_hit_and_what_it_took(self):
        for timing in ("inorder", "ooo"):
            with self.subTest(timing):
                end, walks = self.trace(timing)
                # What is in flight when the run is cut off has not been charged.
                done = [w for w in walks if "cycles" in w]
                self.assertGreaterEqual(len(done), len(walks) - 2)
                for walk in done:
                    self.assertEqual(walk["cycles"], sum(s["cycles"] for s in walk["steps"]))
                self.assertEqual(sum(w["cycles"] for w in done), end.stats["core0.timing.walk_cycles"])
                self.assertLessEqual({s["hit"] for w in done for s in w["steps"]}, {"L1", "L2", "L3", "DRAM"})
                self.assertLess(min(w["references"] for w in done), 4)

    def test_out_of_order_says_which_instruction(self):
        walks = [w for w in self.trace("ooo")[1] if "cycles" in w and w["access"] != "execute"]
        self.assertTrue(all("ip" in w for w in walks))
        self.assertTrue(any(w["ip"] != w["block"] for w in walks))

    def test_the_same_run_again_has_the_same_trace(self):
        self.assertEqual(self.trace("ooo")[1], self.trace("ooo")[1])

    def test_a_trace_changes_nothing(self):
        for timing in MODES:
            with self.subTest(timing):
                with_trace, _ = traced("bench_tlbmiss", timing, cycles=2_000_000)
                settings = {"guest.kernel": GUESTS / "bench_tlbmiss", "guest.cmdline": "short",
                            "machine.memory": "1GiB", "machine.timing": timing}
                without = run("multiboot.yaml", settings, ("--quiet", "--max-cycles", 2_000_000))
                for name in ("sim.cycles", "sim.instructions", "sim.state_hash"):
                    self.assertEqual(with_trace.stats[name], without.stats[name])


class Kinds(unittest.TestCase):
    def test_faults_updates_and_accesses(self):
        end, walks = traced("selftest", "inorder")
        self.assertEqual(end.status, 0, end)
        self.assertEqual({w["access"] for w in walks}, {"read", "write", "execute"})
        self.assertIn("user", {w["privilege"] for w in walks})
        faults = [w for w in walks if w["result"] == "page-fault"]
        self.assertTrue(faults)
        self.assertTrue(all("error_code" in w and "page" not in w for w in faults))
        updates = [s for w in walks for s in w["steps"] if s.get("update")]
        self.assertTrue(updates)
        self.assertTrue(all(int(s["entry"], 16) & 0x20 for s in updates))

    def test_several_cores(self):
        end, walks = traced("smp", "inorder", **{"machine.cores": 2})
        self.assertEqual(end.status, 0, end)
        for core in (0, 1):
            self.assertEqual(sum(w["core"] == core for w in walks), end.stats[f"core{core}.walker.walks"])


class Mistakes(unittest.TestCase):
    def refused(self, file):
        settings = {"guest.kernel": GUESTS / "bench_tlbmiss", "guest.cmdline": "short", "machine.memory": "1GiB"}
        end = run("multiboot.yaml", settings, ("--walk-trace", file, "--max-cycles", 50_000_000))
        self.assertEqual(end.status, 2, end)
        return end.messages

    def test_no_such_directory(self):
        self.assertIn("cannot be created: No such file", self.refused("/no/such/directory/walks"))

    def test_a_full_disk_ends_the_run(self):
        messages = self.refused("/dev/full")
        self.assertIn("--walk-trace /dev/full: cannot be written: No space left on device", messages)


if __name__ == "__main__":
    bunshin_process.main()
