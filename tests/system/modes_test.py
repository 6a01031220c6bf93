"""Debian in every mode, and from one to the other while it runs: the same console but for times, the same workload, power-off."""

import re
import unittest

import bunshin_process
from bunshin_process import prepare, run, without_times

# What the kernel measures, or counts while time passes: memory that it has freed in the background so far, clocks, a time of day.
MEASURED = re.compile(rb"^(Memory: |sched_clock: |audit: type=|tsc: |clocksource: |Calibrating |random: )")


def boot(cores=1, options=(), **settings):
    kernel, initramfs = prepare("prepare_linux.sh", "--flavour", "cloud")
    return run("linux.yaml",
               {"guest.kernel": kernel, "guest.initrd": initramfs, "guest.cmdline": "console=ttyS0 panic=-1 nokaslr",
                "machine.cores": cores, **settings}, options, timeout=1800)


def lines(end):
    return [line for line in without_times(end.console).replace(b"\r", b"").split(b"\n") if not MEASURED.match(line)]


class Modes(unittest.TestCase):
    def test_same_results_in_every_mode_and_when_switching(self):
        functional = boot()
        self.assertEqual(functional.status, 0, functional)
        self.assertIn(b"bunshin: workload done", functional.console)
        # In this order whatever the model says, unless an instruction takes more than seven cycles.
        switches = ("--switch", "instructions:300000000=ooo", "--switch", "instructions:340000000=inorder",
                    "--switch", "instructions:380000000=none", "--switch", "cycle:900000000=ooo",
                    "--switch", "cycle:920000000=none")
        for name, end in (("inorder", boot(**{"machine.timing": "inorder"})), ("ooo", boot(**{"machine.timing": "ooo"})),
                          ("switched", boot(options=switches))):
            with self.subTest(name):
                self.assertEqual(end.status, 0, end)
                self.assertEqual(lines(end), lines(functional))
                if name == "switched":
                    self.assertEqual(end.stats["sim.switches"], 5)

    def test_two_processors_repeat_to_the_cycle(self):
        for mode in ("inorder", "ooo"):
            with self.subTest(mode):
                limit = ("--max-cycles", 400_000_000)
                one, two = (boot(2, limit, **{"machine.timing": mode}) for _ in range(2))
                for name in ("sim.cycles", "sim.instructions", "sim.state_hash", "sim.timing_hash"):
                    self.assertEqual(one.stats[name], two.stats[name], name)


if __name__ == "__main__":
    bunshin_process.main()
