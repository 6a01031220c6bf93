"""Debian's kernels, unmodified, to a user-space workload and the guest's own power-off."""

import unittest

import bunshin_process
from bunshin_process import prepare, run

WORKLOAD = [
    b"workload sha256sum: f6351f5ead9a700e34275480b3856ea738122a7c57bdeb744a631251c069587a",
    b"workload sort: 20000 19999 19998 1d9090dcc08345c9",
    b"workload find: 8 of 16 files end in .txt",
    b"workload gzip: 108894 bytes to 45004, back equal",
    b"bunshin: workload done",
]


def boot(flavour, processors=1, cmdline="console=ttyS0 panic=-1", **settings):
    kernel, initramfs = prepare("prepare_linux.sh", "--flavour", flavour)
    return run("linux.yaml",
               {"guest.kernel": kernel, "guest.initrd": initramfs, "guest.cmdline": cmdline,
                "machine.cores": processors, **settings}, timeout=900)


class Linux(unittest.TestCase):
    def works(self, end, processors=1):
        self.assertEqual(end.status, 0, end)
        for line in WORKLOAD:
            self.assertIn(line, end.console)
        self.assertIn(f"on {processors} core(s)".encode(), end.console)
        for trouble in (b"Call Trace", b"BUG:", b"Kernel panic", b"Oops"):
            self.assertNotIn(trouble, end.console)


class Cloud(Linux):
    def test_one_processor_twice_the_same(self):
        first = boot("cloud")
        self.works(first)
        second = boot("cloud")
        for name in ("sim.cycles", "sim.instructions", "sim.state_hash"):
            self.assertEqual(first.stats[name], second.stats[name], name)
        self.assertEqual(first.console, second.console)

    def test_two_processors(self):
        self.works(boot("cloud", 2), 2)

    def test_four_processors_twice_the_same(self):
        first = boot("cloud", 4)
        self.works(first, 4)
        self.assertEqual(first.stats["sim.state_hash"], boot("cloud", 4).stats["sim.state_hash"])

    def test_without_address_randomization(self):
        self.works(boot("cloud", cmdline="console=ttyS0 panic=-1 nokaslr"))

    def test_memory_above_4_gib(self):
        self.works(boot("cloud", **{"machine.memory": "6GiB"}))


class Generic(Linux):
    def test_one_processor(self):
        self.works(boot("generic"))

    def test_two_processors(self):
        self.works(boot("generic", 2), 2)

    def test_four_processors_without_address_randomization(self):
        self.works(boot("generic", 4, "console=ttyS0 panic=-1 nokaslr"), 4)


class Panic(unittest.TestCase):
    def test_a_panic_is_the_guests_failure(self):
        kernel, _ = prepare("prepare_linux.sh")
        end = run("linux.yaml", {"guest.kernel": kernel}, ("--max-cycles", 100_000_000_000), timeout=900)
        self.assertEqual(end.status, 1, end)
        self.assertIn(b"Kernel panic", end.console)


if __name__ == "__main__":
    bunshin_process.main()
