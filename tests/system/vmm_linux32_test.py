#!/usr/bin/env python3
"""Debian's unmodified 32-bit kernel in user state, on a processor without a virtualization extension (S9, S10)."""

import difflib
import functools
import re
import unittest

from bunshin_process import GUESTS, main, prepare
from hypervisor_process import IMAGE_32, guest, run_hypervisor, run_machine
from linux_test import WORKLOAD
from vmm_linux_test import CMDLINE, MEMORY, compared, lines_of

CPU = "p4-northwood"
# The kernel chooses its place by the time-stamp counter, and how many page tables it needs goes with that: on the machine
# itself these lines are others too with another command line.
MEMORY_LEFT = re.compile(rb"Memory: \d+K/\d+K available \(.*\)|bunshin: Linux \S+ on 1 core\(s\), \d+ MiB")


def lines(console):
    return [line.decode(errors="replace") for line in compared(console) if not MEMORY_LEFT.fullmatch(line)]


@functools.lru_cache(maxsize=None)
def native():
    kernel, initramfs = prepare("prepare_linux.sh", "--flavour", "686")
    return run_machine(CPU, "linux", {"guest.kernel": kernel, "guest.initrd": initramfs, "guest.cmdline": CMDLINE,
                                      "machine.memory": f"{MEMORY}MiB"}, timeout=900)


class UserState(unittest.TestCase):
    maxDiff = None

    def boot(self, paging, *others):
        kernel, initramfs = prepare("prepare_linux.sh", "--flavour", "686")
        configuration = guest("debian", kernel, initrd=initramfs.name, memory=f"{MEMORY}M", cmdline=CMDLINE)
        for name, keys in others:
            configuration += guest(name, **keys)
        result = run_hypervisor(CPU, f"paging = {paging}\n{configuration}", kernel, initramfs,
                                *(keys["kernel"] for _, keys in others), memory="512MiB", image=IMAGE_32, timeout=1800)
        self.assertEqual(result.status, 0, result)
        self.assertIn("debian: ended: powered off", result.com2)
        return result

    def worked(self, console):
        """Up to its own power-off, it has said what it says on the machine itself."""
        for line in WORKLOAD:
            self.assertIn(line, console)
        self.assertIn(b"reboot: Power down", console)
        difference = list(difflib.unified_diff(lines(native().console), lines(console), "native", "guest", lineterm="",
                                               n=0))
        self.assertEqual(difference, [], "\n".join(difference))

    def test_debian_has_its_native_console(self):
        self.worked(self.boot("shadow").console)

    def test_debian_and_a_lab_kernel(self):
        lab = {"kernel": GUESTS / "lab32", "memory": "32M", "cmdline": "run=check"}
        console = self.boot("vtlb", ("lab", lab)).console
        self.worked(lines_of(console, "debian"))
        self.assertIn(b"lab: power off, 0 failed", lines_of(console, "lab"))


if __name__ == "__main__":
    main()
