"""What tools/prepare_kvm.sh and tools/prepare_xen.sh make works on QEMU's interpreter, whose processors have SVM."""

import shutil
import subprocess
import unittest

import bunshin_process
from bunshin_process import prepare
from linux_test import WORKLOAD


def run_qemu(kernel, initrd, cmdline, cpu):
    """The console of a boot to power-off; skips where there is no QEMU."""
    qemu = shutil.which("qemu-system-x86_64")
    if qemu is None:
        raise unittest.SkipTest("qemu-system-x86_64 is not installed")
    return subprocess.run(
        [qemu, "-machine", "q35", "-accel", "tcg", "-cpu", cpu, "-m", "768", "-display", "none", "-serial", "stdio",
         "-no-reboot", "-kernel", str(kernel), "-initrd", initrd, "-append", cmdline],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=900, check=False).stdout


class Qemu(unittest.TestCase):
    def finished(self, console, prefix, last):
        for line in WORKLOAD:
            self.assertIn(prefix + line, console, console[-3000:].decode(errors="replace"))
        self.assertIn(last, console)

    def kvm(self, parameter):
        kernel, initramfs = prepare("prepare_kvm.sh")
        # Time passes by the host's clock: on a busy host the kernel's test of the timer fails.
        console = run_qemu(kernel, str(initramfs), f"console=ttyS0 panic=-1 no_timer_check kvm_amd.{parameter}", "EPYC")
        self.finished(console, b"L1| ", b"bunshin: the guest of level 1 powered off")

    def test_kvm_with_nested_paging(self):
        self.kvm("npt=1")

    def test_kvm_with_shadow_paging(self):
        self.kvm("npt=0")

    def test_xen(self):
        hypervisor, kernel, initramfs = prepare("prepare_xen.sh")
        # SMAP and RDTSCP: docs/virtualization_guests.md, "On QEMU".
        console = run_qemu(hypervisor, f"{kernel} console=hvc0 panic=-1,{initramfs}",
                           "console=com1 com1=115200,8n1 dom0_mem=400M,max:400M", "max,-smap,-rdtscp")
        self.finished(console, b"pvh| ", b"bunshin: the PVH guest powered off")


if __name__ == "__main__":
    bunshin_process.main()
