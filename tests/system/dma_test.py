"""Devices' transfers pass the caches while a pipeline times the machine."""

import re
import unittest

import bunshin_process
from bunshin_process import GUESTS, run


def boot(mode, **settings):
    settings = {"guest.kernel": GUESTS / "dma", "machine.memory": "64MiB", "machine.timing": mode, **settings}
    end = run("multiboot.yaml", settings, ("--max-cycles", 500_000_000))
    numbers = [int(n) for n in re.findall(rb"\d+", end.console)]
    names = ("cached", "after", "other", "other_after", "small", "large")
    return end, dict(zip(names, numbers))


class Dma(unittest.TestCase):
    def test_takes_the_line_that_it_writes_and_no_other(self):
        for mode in ("inorder", "ooo"):
            with self.subTest(mode):
                end, times = boot(mode)
                self.assertEqual(end.status, 0, end)
                self.assertGreater(times["after"], times["cached"] + 20, end)
                self.assertLess(abs(times["other_after"] - times["other"]), 15, end)

    def test_finds_what_a_core_has_modified(self):
        end, _ = boot("ooo")
        self.assertGreater(end.stats["cache.devices.transfers_dirty"], 0, "the descriptor")
        self.assertGreater(end.stats["cache.devices.invalidations"], 0, "the buffer")

    def test_takes_longer_with_slower_memory(self):
        """Without an L3 or DDIO what is written goes to memory."""
        slow = {"dram.cas": 100_000, "dram.rcd": 100_000, "dram.burst": 50_000}
        _, fast_times = boot("ooo", **{"caches.coherence.ddio": "false"})
        _, slow_times = boot("ooo", **{"caches.coherence.ddio": "false"},
                             **{f"caches.{key}": value for key, value in slow.items()})
        self.assertGreater(slow_times["large"], fast_times["large"] + 1000, f"{fast_times} {slow_times}")

    def test_takes_no_time_without_timing(self):
        end, times = boot("none")
        self.assertEqual(end.status, 0, end)
        self.assertEqual(times["small"], times["large"])
        self.assertEqual(times["cached"], times["after"])


if __name__ == "__main__":
    bunshin_process.main()
