#!/usr/bin/env python3
"""What the processor does natively it does under the hypervisor: conformance guests print the same, in every mode."""

import difflib
import unittest

from bunshin_process import GUESTS, main
from hypervisor_process import guest, run_hypervisor, run_machine

PAGING = ("nested", "vtlb", "shadow")
PROCESSORS = ("zen3", "barcelona", "nehalem")

# Lines of `processor` that a guest's processor answers otherwise, and why.
OTHER = {
    "registers: machine-check banks": "IA32_MCG_CAP shows no banks",
    "registers: CR4.PCIDE": "CPUID hides process contexts",
    "registers: INVPCID": "CPUID hides INVPCID",
    "registers: OSPKE": "CPUID hides protection keys",
    "registers: TSC_ADJUST": "CPUID hides TSC_ADJUST",
    "some checks failed": "one of the above",
    "all checks passed": "one of the above",
}


class Conformance(unittest.TestCase):
    def compare(self, cpu, kernel, ignored=()):
        native = run_machine(cpu, "multiboot", {"guest.kernel": GUESTS / kernel, "machine.memory": "64MiB"}, timeout=300)
        self.assertEqual(native.status, 0, native)

        def shown(run_end):
            lines = run_end.console.decode(errors="replace").replace("\r", "").split("\n")
            return [line for line in lines if not any(line.startswith(name) for name in ignored)]
        for paging in PAGING:
            with self.subTest(cpu=cpu, kernel=kernel, paging=paging):
                hypervised = run_hypervisor(cpu, f"paging = {paging}\n" + guest("a", kernel, memory="64M", limit="60s"),
                                            GUESTS / kernel, timeout=300)
                difference = list(difflib.unified_diff(shown(native), shown(hypervised), "native", paging, lineterm="", n=0))
                self.assertEqual(difference, [], str(hypervised))
                if not ignored:
                    self.assertEqual(hypervised.status, 0, hypervised)

    def test_interrupts_long_mode_and_self_test(self):
        for cpu in PROCESSORS:
            for kernel in ("interrupts", "selftest"):
                self.compare(cpu, kernel)
        self.compare("zen3", "long_mode")

    def test_hardware_task_switches(self):
        """Task gates, TSS links, virtual-8086 tasks: the hypervisor switches tasks where the incoming CR3 is not the real one."""
        for cpu in PROCESSORS:
            self.compare(cpu, "tasks")

    def test_control_registers_and_debugging(self):
        for cpu in PROCESSORS:
            self.compare(cpu, "processor", tuple(OTHER))


if __name__ == "__main__":
    main()
