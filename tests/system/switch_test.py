"""Switching between none, inorder and ooo while a guest runs, and regions of interest: exact, repeatable, without effect on results."""

import unittest

import bunshin_process
from bunshin_process import GUESTS, command, run

CONSOLE = b"regions: start\nregions: sums 16769024 16769024\nregions: end\n"
MARKED = 2002  # mov, 1000 times dec and jnz, and the end's own mark


def boot(options=(), guest="regions", **settings):
    settings = {"guest.kernel": GUESTS / guest, "machine.memory": "64MiB",
                "guest.symbols": GUESTS / f"guest_{guest}.elf64", **settings}
    return run("multiboot.yaml", settings, ("--max-cycles", 2_000_000_000, *options))


class Switching(unittest.TestCase):
    def modes(self, end):
        self.assertEqual(end.status, 0, end)
        self.assertEqual(end.console, CONSOLE)
        return {mode: (end.stats[f"sim.mode.{mode}.cycles"], end.stats[f"sim.mode.{mode}.instructions"])
                for mode in ("none", "inorder", "ooo")}

    def test_at_a_cycle(self):
        end = boot(("--switch", "cycle:10000=ooo", "--switch", "cycle:20000=none"))
        modes = self.modes(end)
        self.assertEqual(end.stats["sim.switches"], 2)
        self.assertGreaterEqual(modes["ooo"][0], 10_000)
        self.assertLess(modes["ooo"][0], 10_000 + 500, "the block at the end of it")
        self.assertEqual(modes["none"][0] + modes["ooo"][0], end.stats["sim.cycles"])

    def test_cycles_without_timing_are_exact(self):
        first = boot(("--switch", "cycle:12345=inorder"))
        self.assertEqual(self.modes(first)["none"][0], 12_345)

    def test_at_an_instruction_count_to_the_instruction(self):
        for begin, end in ((5_000, 5_001), (5_001, 7_777), (10_000, 30_003)):
            for mode in ("inorder", "ooo"):
                with self.subTest(mode, begin=begin):
                    found = boot(("--switch", f"instructions:{begin}={mode}", "--switch", f"instructions:{end}=none"))
                    self.assertEqual(self.modes(found)[mode][1], end - begin)

    def test_from_one_pipeline_to_the_other_and_back(self):
        options = []
        for i, mode in enumerate(("ooo", "none", "inorder", "ooo", "inorder", "none", "ooo", "inorder")):
            options += ["--switch", f"instructions:{4000 * (i + 1)}={mode}"]
        end = boot(options)
        modes = self.modes(end)
        self.assertEqual(end.stats["sim.switches"], 8)
        self.assertEqual(modes["none"][1], 4_000 * 3)
        self.assertEqual(modes["ooo"][1], 4_000 * 3)
        self.assertEqual(sum(found[1] for found in modes.values()), end.stats["sim.instructions"])

    def test_at_a_symbol_each_time(self):
        found = boot(("--switch", "symbol:phase_two=ooo", "--switch", "symbol:phase_three=none"))
        region = boot(("--region", "two=symbol:phase_two..symbol:phase_three"))
        self.assertEqual(found.stats["sim.switches"], 6)
        self.assertEqual(region.stats["region.two.entries"], 3)
        instructions = region.stats["region.two.sim.instructions"]
        self.assertEqual(self.modes(found)["ooo"][1], instructions)
        self.assertGreater(instructions, 3 * 4001)
        self.assertLess(instructions, 3 * 4020)

    def test_at_a_symbol_once(self):
        found = boot(("--switch", "symbol:phase_two#2=ooo", "--switch", "symbol:phase_three#2=none"))
        self.assertEqual(found.stats["sim.switches"], 2)
        self.assertLess(self.modes(found)["ooo"][1], 4020)

    def test_at_a_mark(self):
        found = boot(("--switch", "mark:3=ooo", "--switch", "mark:4=none"))
        modes = self.modes(found)
        self.assertEqual(found.stats["sim.switches"], 2)
        self.assertGreater(modes["ooo"][1], 2048 * 3)
        self.assertLess(modes["ooo"][1], 2048 * 8)

    def test_on_request_only_if_obeyed(self):
        self.assertEqual(boot(("--switch", "cycle:1=none",)).stats.get("sim.switches", 0), 0)
        found = boot(**{"machine.obey_requests": "true"})
        self.modes(found)
        self.assertEqual(found.stats["sim.switches"], 2)
        self.assertGreater(found.stats["sim.mode.ooo.instructions"], 2048 * 3)

    def test_caches_are_kept_while_nobody_times(self):
        """Both walks of the guest over 128 KiB: timed twice with a pause, against timed once."""
        once = boot(("--switch", "mark:3=ooo", "--switch", "mark:4=none"))
        twice = boot(("--switch", "mark:3=ooo", "--switch", "mark:4=none"), **{"machine.obey_requests": "true"})
        before, after = (end.stats["cache.core0.l1d.misses.load"] for end in (once, twice))
        dram = [end.stats["cache.core0.dram_reads"] for end in (once, twice)]
        self.assertGreater(before, 1000)
        self.assertLess(dram[1] - dram[0], dram[0] / 2, f"the second walk finds the first one's lines: {dram}, {before}, {after}")

    def test_the_same_switches_give_the_same_cycles(self):
        options = ("--switch", "symbol:phase_two=ooo", "--switch", "end:8=inorder", "--switch", "instructions:40000=none",
                   "--switch", "cycle:90000=ooo", "--switch", "mark:4=none")
        one, two = boot(options), boot(options)
        self.modes(one)
        same = {name for name in one.stats if one.stats[name] != two.stats.get(name)}
        self.assertEqual({name for name in same if "host" not in name and name not in ("sim.mips",) and
                          "decode_rate" not in name}, set())


class Regions(unittest.TestCase):
    def test_counts_of_a_marked_region_are_exact(self):
        end = boot()
        self.assertEqual(end.status, 0, end)
        self.assertEqual(end.stats["region.roi.core0.instructions"], MARKED)
        self.assertEqual(end.stats["region.roi.cycles"], MARKED)
        self.assertEqual(end.stats["region.roi.entries"], 1)

    def test_regions_overlap_and_repeat(self):
        end = boot(("--region", "first=7", "--region", "second=8"))
        self.assertEqual(end.stats["region.first.entries"], 3)
        self.assertEqual(end.stats["region.second.entries"], 3)
        first = end.stats["region.first.core0.instructions"]
        second = end.stats["region.second.core0.instructions"]
        self.assertGreater(first, 3 * (2001 + 4001))
        self.assertLess(first, 3 * (2001 + 4001) + 60)
        self.assertGreater(second, 3 * (4001 + 6001))
        self.assertLess(second, 3 * (4001 + 6001) + 60)

    def test_one_begun_twice_counts_once(self):
        end = boot()
        self.assertEqual(end.stats["region.9.entries"], 2)
        self.assertEqual(end.stats["region.9.unmatched_ends"], 1)
        self.assertEqual(end.stats["region.9.core0.instructions"], 1 + 1001 + 1 + 1001 + 1)

    def test_one_that_is_open_at_the_end_counts_up_to_there(self):
        self.assertGreater(boot().stats["region.10.core0.instructions"], 0)

    def test_timed_regions_have_the_caches_counts(self):
        end = boot(("--timing", "ooo", "--region", "walk=mark:3..mark:4"))
        self.assertGreater(end.stats["region.walk.cycles"], 0)
        loads = sum(value for name, value in end.stats.items() if name.startswith("region.walk.cache.core0.l1d.") and
                    name.endswith(".load"))
        self.assertGreaterEqual(loads, 2048)
        self.assertLess(loads, 2048 + 200)


class Mistakes(unittest.TestCase):
    def refuse(self, *options):
        config = bunshin_process.SOURCE / "configs/experiment/multiboot.yaml"
        end = command("run", config, "--set", f"guest.kernel={GUESTS / 'guest_regions.elf64'}", *options)
        self.assertEqual(end.status, 2, end)
        return end.messages

    def test_are_explained(self):
        self.assertIn("expected one of cycle:N", self.refuse("--switch", "soon=ooo"))
        self.assertIn("is not one of none, inorder, ooo", self.refuse("--switch", "cycle:5=quick"))
        self.assertIn("near ones: phase_two", self.refuse("--switch", "symbol:phase_tow=ooo"))
        self.assertIn("up to 4095", self.refuse("--region", "x=5000"))
        self.assertIn("are the same", self.refuse("--region", "x=1", "--region", "y=1"))


if __name__ == "__main__":
    bunshin_process.main()
