#!/usr/bin/env python3
"""Debian's other kernels, and another machine, under the project's hypervisor (docs/hypervisor.md, "Guests that have been tried")."""

import pathlib
import shutil
import subprocess
import tempfile
import unittest

from bunshin_process import GUESTS, main, prepare
from hypervisor_process import IMAGE, guest, run_hypervisor
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


class OnQemu(unittest.TestCase):
    def test_debian_and_a_lab_guest_at_once(self):
        program = shutil.which("qemu-system-x86_64")
        if program is None:
            self.skipTest("qemu-system-x86_64 is not installed")
        kernel, initramfs = prepare("prepare_linux.sh")
        lab = GUESTS / "lab"
        with tempfile.TemporaryDirectory() as directory:
            folder = pathlib.Path(directory)
            (folder / "vmm.cfg").write_text(
                guest("debian", kernel, initrd=initramfs.name, memory="160M", cmdline="console=ttyS0 panic=-1") +
                guest("lab", lab, memory="32M", paging="shadow", cmdline="run=check"))
            subprocess.run(
                [program, "-accel", "tcg", "-cpu", "max", "-m", "512", "-display", "none", "-no-reboot", "-kernel", IMAGE,
                 "-initrd", f"{folder}/vmm.cfg,{kernel},{initramfs},{lab}", "-serial", f"file:{folder}/com1",
                 "-serial", f"file:{folder}/com2", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"],
                stdin=subprocess.DEVNULL, capture_output=True, timeout=900, check=False)
            guests, own = (folder / "com1").read_bytes(), (folder / "com2").read_text()
        for line in WORKLOAD:
            self.assertIn(b"debian| " + line, guests)
        self.assertIn(b"lab| lab: power off, 0 failed", guests)
        self.assertIn("bunshin-vmm: all guests ended well", own)


def add_tests():
    for flavour, cpu, paging in TRIED:
        def test(self, flavour=flavour, cpu=cpu, paging=paging):
            self.check(flavour, cpu, paging)
        setattr(Flavours, f"test_{flavour}_{cpu}_{paging}".replace("-", "_"), test)


add_tests()


if __name__ == "__main__":
    main()
