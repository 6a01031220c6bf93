"""What tools/prepare_kvm.sh, prepare_xen.sh and prepare_disk_image.sh --qemu make works here, on both makers' processors, and
the first two on QEMU's interpreter, whose processors have SVM; Xen as a guest of the project's own hypervisor too."""

import shutil
import subprocess
import unittest

import bunshin_process
from bunshin_process import SOURCE, prepare, run
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


class Hypervisor(unittest.TestCase):
    def finished(self, console, prefix, last):
        for line in WORKLOAD:
            self.assertIn(prefix + line, console, console[-3000:].decode(errors="replace"))
        self.assertIn(last, console)


class Here(Hypervisor):
    """Each of the experiments, as its configuration says."""

    def host(self, config, prefix, last, settings=None):
        result = run(config, settings, timeout=900)
        self.assertEqual(result.status, 0, result)
        self.finished(result.console, prefix, last)
        return result

    def kvm(self, config, parameter):
        kernel, initramfs = prepare("prepare_kvm.sh")
        return self.host(config, b"L1| ", b"bunshin: the guest of level 1 powered off",
                         {"guest.kernel": kernel, "guest.initrd": initramfs,
                          "guest.cmdline": f"console=ttyS0 panic=-1 {parameter}"})

    def nested(self, config, parameter):
        kernel, initramfs = prepare("prepare_kvm.sh", "--nested")
        self.host(config, b"L1| L2| ", b"L1| bunshin: the guest of level 2 powered off",
                  {"guest.kernel": kernel, "guest.initrd": initramfs,
                   "guest.cmdline": f"console=ttyS0 panic=-1 {parameter}"})

    def xen(self, config):
        hypervisor, kernel, initramfs = prepare("prepare_xen.sh")
        self.host(config, b"pvh| ", b"bunshin: the PVH guest powered off",
                  {"guest.kernel": hypervisor, "guest.initrd": f"[{kernel} console=hvc0 panic=-1, {initramfs}]"})

    def hypervised_xen(self, cpu, binding, paging):
        """Xen as the project's own hypervisor's guest, which has no virtualization extension: its guest is a paravirtual one."""
        hypervisor, kernel, initramfs = prepare("prepare_xen.sh")
        self.host("xen.yaml", b"pv| ", b"bunshin: the PV guest powered off",
                  {"include": SOURCE / f"configs/cpu/{cpu}.yaml", "machine.memory": "1GiB", "vmm.guest_memory": "768MiB",
                   "vmm.binding": binding, "vmm.paging": paging, "guest.kernel": hypervisor,
                   "guest.initrd": f"[{kernel} console=hvc0 panic=-1 xl.type=pv, {initramfs}]"})

    def qemu(self, config, parameter):
        kernel, initramfs, image = prepare("prepare_disk_image.sh", "--qemu")
        self.host(config, b"L1| ", b"bunshin: QEMU's guest powered off",
                  {"guest.kernel": kernel, "guest.initrd": initramfs, "guest.disks": image,
                   "guest.cmdline": f"console=ttyS0 panic=-1 {parameter}"})

    def test_kvm_vtx_with_ept(self):
        result = self.kvm("kvm-vtx.yaml", "kvm_intel.ept=1")
        self.assertGreater(result.stats["core0.vm.entries"], 0)

    def test_kvm_vtx_with_shadow_paging(self):
        self.kvm("kvm-vtx.yaml", "kvm_intel.ept=0")

    def test_kvm_svm_with_nested_paging(self):
        result = self.kvm("kvm-svm.yaml", "kvm_amd.npt=1")
        self.assertGreater(result.stats["core0.vm.entries"], 0)

    def test_kvm_svm_with_shadow_paging(self):
        self.kvm("kvm-svm.yaml", "kvm_amd.npt=0")

    def test_kvm_in_kvm_vtx(self):
        self.nested("kvm-nested-vtx.yaml", "kvm_intel.nested=1")

    def test_kvm_in_kvm_svm(self):
        self.nested("kvm-nested-svm.yaml", "kvm_amd.nested=1")

    def test_qemu_vtx(self):
        self.qemu("kvm-qemu-vtx.yaml", "kvm_intel.ept=1")

    def test_qemu_vtx_with_shadow_paging(self):
        self.qemu("kvm-qemu-vtx.yaml", "kvm_intel.ept=0")

    def test_qemu_svm(self):
        self.qemu("kvm-qemu-svm.yaml", "kvm_amd.npt=1")

    def test_qemu_svm_with_shadow_paging(self):
        self.qemu("kvm-qemu-svm.yaml", "kvm_amd.npt=0")

    def test_xen_vtx(self):
        self.xen("xen.yaml")

    def test_xen_svm(self):
        self.xen("xen-svm.yaml")

    def test_xen_on_the_hypervisor_nested(self):
        self.hypervised_xen("skylake", "bare", "nested")

    def test_xen_on_the_hypervisor_shadow(self):
        self.hypervised_xen("zen3", "bare", "shadow")

    def test_xen_on_the_hosted_hypervisor(self):
        self.hypervised_xen("zen3", "hosted", "nested")


class Qemu(Hypervisor):
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
