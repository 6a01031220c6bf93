#!/usr/bin/env python3
"""Debian's other kernels under the project's hypervisor (docs/hypervisor.md, "Guests that have been tried")."""

import unittest

from bunshin_process import main, prepare
from hypervisor_process import guest, run_hypervisor
from linux_test import WORKLOAD

# Flavour, processor, paging: each processor and each way of paging is somewhere; 32-bit kernels page in two ways.
TRIED = (("rt", "skylake", "nested"), ("rt", "merom", "shadow"), ("rt", "barcelona", "vtlb"),
         ("generic", "haswell", "shadow"), ("generic", "zen2", "nested"),
         ("686", "merom", "vtlb"), ("686", "barcelona", "nested"), ("686", "penryn", "shadow"),
         ("686-pae", "haswell", "nested"), ("686-pae", "zen2", "shadow"), ("686-pae", "sandy-bridge", "vtlb"))


class Flavours(unittest.TestCase):
    """The workload's results are those of every other run."""

    def check(self, flavour, cpu, paging):
        kernel, initramfs = prepare("prepare_linux.sh", "--flavour", flavour)
        result = run_hypervisor(cpu, f"paging = {paging}\n" + guest(
            "debian", kernel, initrd=initramfs.name, memory="288M", cmdline="console=ttyS0 panic=-1"),
            kernel, initramfs, memory="512MiB", timeout=900)
        self.assertEqual(result.status, 0, result)
        for line in WORKLOAD:
            self.assertIn(line, result.console)
        self.assertNotIn(b"unchecked MSR access", result.console)


def add_tests():
    for flavour, cpu, paging in TRIED:
        def test(self, flavour=flavour, cpu=cpu, paging=paging):
            self.check(flavour, cpu, paging)
        setattr(Flavours, f"test_{flavour}_{cpu}_{paging}".replace("-", "_"), test)


add_tests()


if __name__ == "__main__":
    main()
