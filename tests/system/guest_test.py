"""Our own guests on the simulated machine: what they print, how they end, and that QEMU prints the same."""

import unittest

import bunshin_process
from bunshin_process import GUESTS, run, run_qemu


def boot(guest, processors=1, options=("--max-cycles", 20_000_000_000), **settings):
    settings = {"guest.kernel": GUESTS / guest, "machine.cores": processors, "machine.memory": "64MiB", **settings}
    return run("multiboot.yaml", settings, options)


class SameAsQemu(unittest.TestCase):
    def compare(self, guest, processors=1):
        here = boot(guest, processors)
        self.assertEqual(here.status, 0, here)
        there, value = run_qemu(GUESTS / guest, processors)
        self.assertEqual(here.console, there)
        self.assertEqual(here.stats["guest.exit_value"], value)

    def test_hello(self):
        self.compare("hello")

    def test_selftest(self):
        self.compare("selftest")

    def test_real_mode(self):
        self.compare("real_mode")

    def test_two_processors(self):
        self.compare("smp", 2)

    def test_four_processors(self):
        self.compare("smp", 4)

    def test_restart(self):
        self.compare("restart", 2)

    def test_suspend(self):
        self.compare("suspend", 2)


class Endings(unittest.TestCase):
    def test_sixteen_processors(self):
        end = boot("smp", 16)
        self.assertEqual(end.status, 0, end)
        self.assertIn(b"smp: 15 answered an interrupt", end.console)

    def test_selftest_on_an_amd_processor(self):
        profile = bunshin_process.SOURCE / "configs/cpu/generic-amd.yaml"
        with bunshin_process.tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
            config.write(f"include: [{bunshin_process.SOURCE}/configs/experiment/multiboot.yaml, {profile}]\n")
            config.flush()
            end = run(config.name, {"guest.kernel": GUESTS / "selftest"})
        self.assertEqual(end.status, 0, end)

    def test_processor_conformance(self):
        """Alone: where QEMU without KVM and the manual differ, these checks follow the manual."""
        end = boot("processor")
        self.assertEqual(end.status, 0, end)

    def test_platform_conformance(self):
        """Alone, for the same reason."""
        for processors in (1, 2, 4):
            with self.subTest(processors=processors):
                end = boot("platform", processors, **{"machine.memory": "5GiB"})
                self.assertEqual(end.status, 0, end)

    def test_hardware_tasks(self):
        """Alone: QEMU refuses a task whose conforming code segment has another RPL (SDM vol. 3, table 7-1)."""
        end = boot("tasks")
        self.assertEqual(end.status, 0, end)

    def test_memory_above_4_gib(self):
        end = boot("selftest", **{"machine.memory": "8GiB"})
        self.assertEqual(end.status, 0, end)

    def test_triple_fault_is_the_guests_failure(self):
        end = boot("fault")
        self.assertEqual(end.status, 1, end)
        self.assertIn("triple fault", end.messages)

    def test_a_hanging_guest_ends_at_the_users_limit(self):
        end = boot("spin", options=("--max-cycles", 5_000_000))
        self.assertEqual(end.status, 3, end)
        self.assertEqual(end.stats["sim.cycles"], 5_000_000)

    def test_jump_to_a_device_is_survived(self):
        end = boot("mmio")
        self.assertEqual(end.status, 1, end)

    def test_statistics_are_complete(self):
        end = boot("hello")
        for name in ("sim.cycles", "sim.instructions", "sim.host_seconds", "sim.mips", "sim.state_hash", "sim.exit_status",
                     "guest.exit_value"):
            self.assertIn(name, end.stats)


class Repeatability(unittest.TestCase):
    def same_twice(self, guest, processors):
        first, second = boot(guest, processors), boot(guest, processors)
        for name in ("sim.cycles", "sim.instructions", "sim.state_hash"):
            self.assertEqual(first.stats[name], second.stats[name], name)
        self.assertEqual(first.console, second.console)

    def test_selftest(self):
        self.same_twice("selftest", 1)

    def test_four_processors(self):
        self.same_twice("smp", 4)


if __name__ == "__main__":
    bunshin_process.main()
