"""The same run twice, with 1, 2, 4 and 8 cores in every mode: the same cycles, hashes and statistics, to the last tag. And what guests
print does not depend on the mode."""

import unittest

import bunshin_process
from bunshin_process import GUESTS, run

MODES = ("none", "inorder", "ooo")
OF_THE_HOST = ("sim.host_seconds", "sim.mips")


def boot(guest, mode, cores=1, options=(), **settings):
    settings = {"guest.kernel": GUESTS / guest, "machine.cores": cores, "machine.memory": "64MiB",
                "machine.timing": mode, **settings}
    return run("multiboot.yaml", settings, ("--max-cycles", 2_000_000_000, *options), timeout=300)


def of_the_guest(stats):
    return {name: value for name, value in stats.items() if name not in OF_THE_HOST and "decode_" not in name}


class Repeatable(unittest.TestCase):
    def test_the_same_run_twice(self):
        for cores in (1, 2, 4, 8):
            for mode in MODES:
                with self.subTest(mode, cores=cores):
                    one, two = boot("smp", mode, cores), boot("smp", mode, cores)
                    self.assertEqual(one.status, 0, one)
                    self.assertEqual(one.console, two.console)
                    self.assertIn("sim.state_hash", one.stats)
                    if mode != "none":
                        self.assertIn("sim.timing_hash", one.stats)
                    one, two = of_the_guest(one.stats), of_the_guest(two.stats)
                    differing = [name for name in one if one[name] != two.get(name)]
                    self.assertEqual(differing, [])
                    self.assertEqual(one.keys(), two.keys())

    def test_the_hash_sees_what_only_costs_time(self):
        """Another cache with the same latencies leaves another hash of timing behind, so that an equal one means something."""
        one = boot("regions", "inorder")
        two = boot("regions", "inorder", **{"caches.l1d.ways": 4})
        self.assertNotEqual(one.stats["sim.timing_hash"], two.stats["sim.timing_hash"])


class SameResults(unittest.TestCase):
    """Guests whose output does not depend on time."""

    def test_console_and_exit_status(self):
        for guest, cores in (("hello", 1), ("regions", 1), ("selftest", 1), ("real_mode", 1), ("tasks", 1), ("protected", 1),
                             ("long_mode", 1), ("processor", 1), ("smp", 1), ("smp", 4)):
            with self.subTest(guest, cores=cores):
                ends = [boot(guest, mode, cores) for mode in MODES]
                for end in ends:
                    self.assertEqual(end.status, 0, end)
                    self.assertEqual(end.console, ends[0].console)

    def test_benchmarks_checksums(self):
        for guest in ("mix", "mem", "int", "tlbmiss", "ptemod", "cr3", "syscall"):
            with self.subTest(guest):
                consoles = []
                for mode in MODES:
                    end = boot(f"bench_{guest}", mode, **{"guest.cmdline": "short", "machine.memory": "512MiB"})
                    self.assertEqual(end.status, 0, end)
                    consoles.append([line for line in end.console.split(b"\n") if b" cycles " not in line])
                self.assertEqual(consoles[0], consoles[1])
                self.assertEqual(consoles[0], consoles[2])


if __name__ == "__main__":
    bunshin_process.main()
