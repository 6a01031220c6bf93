#!/usr/bin/env python3
"""The hypervisor's 32-bit image: guests in user state (S9), and the rewriting of what does not trap there (S10)."""

import re
import unittest

from bunshin_process import GUESTS, main
from hypervisor_process import IMAGE_32, guest, run_hypervisor, run_machine

PAGING = ("shadow", "vtlb")
# What the processor shows of itself to code in user state, instead of what the guest has loaded.
SHOWN = ("sgdt", "sidt", "sldt", "str", "smsw", "pushf", "popf", "mov from cs", "lar", "mov from ss")
HARMLESS = ("lsl", "verr", "verw")


class UserState(unittest.TestCase):
    def boot(self, configuration, kernel, cpu="p4-northwood", options=("--timing", "none")):
        return run_hypervisor(cpu, configuration, GUESTS / kernel, memory="128MiB", image=IMAGE_32, options=options)

    def native(self, kernel, cmdline=""):
        return run_machine("p4-northwood", "multiboot", {"guest.kernel": GUESTS / kernel, "guest.cmdline": cmdline,
                                                         "machine.memory": "32MiB"})

    def assert_good(self, result, text):
        self.assertEqual(result.status, 0, str(result))
        self.assertIn(text, result.console, str(result))

    def test_lab_kernel_has_its_native_console(self):
        native = self.native("lab32", "run=check")
        for paging in PAGING:
            with self.subTest(paging=paging):
                result = self.boot(f"paging = {paging}\n" + guest("a", "lab32", memory="32M", cmdline="run=check"), "lab32")
                self.assert_good(result, b"lab: power off, 0 failed")
                self.assertEqual(result.console, native.console)

    def test_what_does_not_trap_breaks_a_guest_and_rewriting_cures_it(self):
        for paging in PAGING:
            for scan in ("off", "on"):
                with self.subTest(paging=paging, scan=scan):
                    result = self.boot(f"paging = {paging}\nscan = {scan}\n" +
                                       guest("a", "lab32", memory="32M", cmdline="run=sensitive"), "lab32")
                    self.assertEqual(result.status, 0 if scan == "on" else 1, str(result))
                    answers = dict(re.findall(r"lab: sensitive (.+) (ok|differs)", result.console.decode()))
                    wrong = [name for name, answer in answers.items() if answer != "ok"]
                    self.assertEqual(set(answers), {*SHOWN, *HARMLESS})
                    self.assertEqual(sorted(wrong), sorted(SHOWN) if scan == "off" else [])

    def test_a_kernel_sees_its_own_memory_where_the_hypervisor_is(self):
        """Isolation, and code that only rewriting keeps right: changed, behind pointers, reached by returns."""
        self.assert_good(self.native("user_state"), b"all checks passed")
        for paging in PAGING:
            with self.subTest(paging=paging):
                result = self.boot(f"paging = {paging}\n" + guest("a", "user_state", memory="32M"), "user_state")
                self.assert_good(result, b"all checks passed")
        result = self.boot("paging = vtlb\nscan = off\n" + guest("a", "user_state", memory="32M"), "user_state")
        self.assertEqual(result.console.count(b": FAILED"), 5, str(result))

    def test_a_bad_neighbour_harms_nobody(self):
        for index, program in enumerate(("panic", "hang", "scribble", "triplefault")):
            with self.subTest(program=program):
                configuration = f"paging = {PAGING[index % 2]}\nslice = 2ms\n"
                configuration += guest("good", "lab32", memory="16M", cmdline="run=check")
                configuration += guest("bad", "lab32", memory="16M", limit="300ms", cmdline=f"run={program}")
                result = self.boot(configuration, "lab32")
                self.assertEqual(result.status, 1, str(result))
                self.assertIn(b"good| lab: power off, 0 failed", result.console, str(result))

    def test_user_state_can_be_chosen_where_there_is_vt_x(self):
        result = self.boot("execution = deprivileged\npaging = shadow\n" +
                           guest("a", "lab32", memory="32M", cmdline="run=bench count=20"), "lab32", cpu="p4-672")
        self.assert_good(result, b"lab: power off, 0 failed")
        # The order of methods: a trap for every write to a page table, which natively is a store.
        cost = float(re.search(rb"bench ptemod ([0-9.]+) cycles", result.console).group(1))
        self.assertGreater(cost, 100)

    def test_nested_paging_is_refused(self):
        result = self.boot("paging = nested\n" + guest("a", "lab32"), "lab32")
        self.assertEqual(result.status, 1, str(result))
        self.assertIn("this processor has no nested paging", result.com2)

    def test_repeats_to_the_cycle(self):
        runs = [self.boot("paging = vtlb\n" + guest("a", "lab32", memory="32M", cmdline="run=check"), "lab32")
                for _ in range(2)]
        self.assertEqual(runs[0].stats["sim.state_hash"], runs[1].stats["sim.state_hash"])


if __name__ == "__main__":
    main()
