"""Linux on several processors runs a load of threads (guests/linux/threads.c): right, and twice to the same cycle."""

import unittest

import bunshin_process
from bunshin_process import prepare, run

# Of the same program on real processors: the sums do not depend on who runs when, nor on how many processors there are.
CHECKSUM = b"threads: checksum d99044713e65ea22"
TROUBLE = (b"WRONG", b"Call Trace", b"BUG:", b"Kernel panic", b"Oops", b"soft lockup", b"rcu: INFO", b"stall")


def boot(processors):
    kernel, initramfs = prepare("prepare_linux.sh", "--load", "threads")
    return run("linux.yaml", {"guest.kernel": kernel, "guest.initrd": initramfs, "machine.cores": processors},
               timeout=600)


class Threads(unittest.TestCase):
    def works_twice_the_same(self, processors):
        first = boot(processors)
        self.assertEqual(first.status, 0, first)
        self.assertIn(f"on {processors} processors".encode(), first.console)
        self.assertIn(CHECKSUM, first.console, first)
        for trouble in TROUBLE:
            self.assertNotIn(trouble, first.console, first)
        for processor in range(processors):
            self.assertGreater(first.stats[f"core{processor}.instructions"], 1_000_000, f"processor {processor} idled")
        second = boot(processors)
        for name in ("sim.cycles", "sim.instructions", "sim.state_hash"):
            self.assertEqual(first.stats[name], second.stats[name], name)
        self.assertEqual(first.console, second.console)

    def test_eight_processors(self):
        self.works_twice_the_same(8)

    def test_three_processors(self):
        self.works_twice_the_same(3)


if __name__ == "__main__":
    bunshin_process.main()
