#!/usr/bin/env python3
"""Debian's unmodified kernel under the project's hypervisor: every way of paging, every processor, and bad neighbours."""

import difflib
import functools
import hashlib
import pathlib
import re
import tempfile
import unittest

from bunshin_process import GUESTS, main, prepare, without_times
from hypervisor_process import guest, run_hypervisor, run_machine
from linux_test import WORKLOAD

PAGING = ("nested", "vtlb", "shadow")
PROCESSORS = ("zen3", "barcelona", "nehalem")
MEMORY = 256  # MiB, of a guest and of the machine that it is compared with
CMDLINE = "console=ttyS0 panic=-1"

# Lines of the kernel's log that may differ between the machine and a guest on it, and why. Nothing else may.
MAY_DIFFER = (
    # Time: the kernel measures the time-stamp counter against a timer whose reads cost exits.
    rb"tsc: Detected \d+\.\d+ MHz processor",
    rb"clocksource: tsc(-early)?: mask: 0x[0-9a-f]+ max_cycles: 0x[0-9a-f]+, max_idle_ns: \d+ ns",
    rb"Calibrating delay loop \(skipped\), value calculated using timer frequency\.\. .* BogoMIPS \(lpj=\d+\)",
    # Time: a second after the counter has been found, the kernel has it measured, if it still runs then.
    rb"tsc: Refined TSC clocksource calibration: \d+\.\d+ MHz",
    rb"clocksource: Switched to clocksource tsc",
    rb"smpboot: Total of 1 processors activated \(\d+\.\d+ BogoMIPS\)",
    rb"sched_clock: Marking stable \(.*\)",
    rb"rtc_cmos 00:01: setting system clock to 2024-01-01T00:00:0\d UTC \(\d+\)",
    # Time: the address space's layout is random, from the counter, and with it what page tables and alignment take.
    rb"Memory: \d+K/\d+K available \(.*\)",
    # Time: printed by kernel threads whenever they get their turn.
    rb"Trying to unpack rootfs image as initramfs\.\.\.",
    rb"Freeing initrd memory: \d+K",
    rb"audit: type=2000 audit\(\d+\.\d+:1\): state=initialized audit_enabled=0 res=1",
    # Time: with neighbours the guest is away for whole turns while it measures, and takes another timer.
    rb"tsc: (Fast TSC calibration (using PIT|failed)|Unable to calibrate against PIT|using HPET reference calibration)",
    rb"APIC calibration not consistent with PM-Timer: \d+ms instead of 100ms",
    rb"APIC delta adjusted to PM-Timer: \d+ \(\d+\)",
    rb"tsc: Refined TSC clocksource calibration: \d+\.\d+ MHz",
    rb"clocksource: Switched to clocksource tsc",
    # CPUID: a guest has no x2APIC, no MONITOR/MWAIT, and of the extended state only x87, SSE and AVX.
    rb"x2apic: IRQ remapping doesn't support X2APIC mode",
    rb"process: using mwait in idle threads",
    rb"x86/fpu: Supporting XSAVE feature 0x200: 'Protection Keys User registers'",
    rb"x86/fpu: xstate_offset\[9\]: .*",
    rb"x86/fpu: Enabled xstate features 0x[0-9a-f]+, context size is \d+ bytes, using '(compacted|standard)' format\.",
    rb"signal: max sigframe size: \d+",
)
MAY_DIFFER_PATTERN = re.compile(rb"(?:" + rb"|".join(MAY_DIFFER) + rb")\Z")


def compared(console):
    """What of a console must be the same natively and in a guest."""
    lines = without_times(console.replace(b"\r", b"")).split(b"\n")
    return [line for line in lines if not MAY_DIFFER_PATTERN.match(line)]


@functools.lru_cache(maxsize=None)
def native(cpu):
    """The run on the machine itself, with a guest's memory."""
    kernel, initramfs = prepare("prepare_linux.sh")
    return run_machine(cpu, "linux", {"guest.kernel": kernel, "guest.initrd": initramfs, "guest.cmdline": CMDLINE,
                                      "machine.memory": f"{MEMORY}MiB"}, timeout=600)


class HypervisorTest(unittest.TestCase):
    maxDiff = None

    def boot(self, configuration, *modules, cpu="barcelona", memory="512MiB", timeout=600):
        return run_hypervisor(cpu, configuration, *modules, memory=memory, timeout=timeout)

    def worked(self, console, cpu, paging):
        """The workload's results, and nothing else than the machine itself would have shown."""
        for line in WORKLOAD:
            self.assertIn(line, console)
        difference = list(difflib.unified_diff(
            [line.decode(errors="replace") for line in compared(native(cpu).console)],
            [line.decode(errors="replace") for line in compared(console)], "native", paging, lineterm="", n=0))
        self.assertEqual(difference, [], "\n".join(difference))


class Paging(HypervisorTest):
    """One guest, alone: its console is the native run's but for what time and CPUID explain."""

    def check(self, cpu, paging):
        kernel, initramfs = prepare("prepare_linux.sh")
        here = native(cpu)
        self.assertEqual(here.status, 0, here)
        result = self.boot(f"paging = {paging}\n" + guest("debian", kernel, initrd=initramfs.name,
                                                          memory=f"{MEMORY}M", cmdline=CMDLINE),
                           kernel, initramfs, cpu=cpu)
        self.assertEqual(result.status, 0, result)
        self.worked(result.console, cpu, paging)
        self.assertIn("debian: ended: powered off", result.com2)


def lines_of(console, name):
    """What one of several guests has printed."""
    prefix = name.encode() + b"| "
    return b"".join(line[len(prefix):] + b"\n" for line in console.replace(b"\r", b"").split(b"\n")
                    if line.startswith(prefix))


class Neighbours(HypervisorTest):
    """S2: what a guest does, whatever it is, is its own affair."""

    def test_two_debians_and_three_lab_kernels(self):
        kernel, initramfs = prepare("prepare_linux.sh")
        lab = GUESTS / "lab"
        for cpu in ("barcelona", "nehalem"):  # AMD-V and VT-x
            with self.subTest(cpu=cpu):
                configuration = "".join((
                    guest("works", kernel, initrd=initramfs.name, memory=f"{MEMORY}M", cmdline=CMDLINE, paging="shadow"),
                    # Without a first process the kernel panics, and panic=-1 asks for a reset then.
                    guest("panics", kernel, memory=f"{MEMORY}M", cmdline=CMDLINE, paging="nested"),
                    guest("checks", lab, memory="16M", paging="vtlb", cmdline="run=check"),
                    guest("hangs", lab, memory="16M", paging="nested", limit="1500ms", cmdline="run=hang"),
                    guest("scribbles", lab, memory="16M", paging="shadow", limit="4s", cmdline="run=scribble")))
                result = self.boot(configuration, kernel, initramfs, lab, cpu=cpu, memory="1GiB")
                self.assertEqual(result.status, 1, result)  # three have failed, and that is told
                self.worked(lines_of(result.console, "works"), cpu, "shadow")
                self.assertIn(b"Kernel panic - not syncing: VFS", lines_of(result.console, "panics"))
                self.assertIn(b"lab: power off, 0 failed", lines_of(result.console, "checks"))
                self.assertIn(b"lab: scribbled", lines_of(result.console, "scribbles"))
                for end in ("works: ended: powered off", "panics: FAILED: asked for a reset", "checks: ended",
                            "hangs: FAILED: stopped: its time is over",
                            "scribbles: FAILED: stopped: its time is over", "bunshin-vmm: not all is well"):
                    self.assertIn(end, result.com2)
                self.assertNotIn("FATAL", result.com2)


class Disk(HypervisorTest):
    def test_two_guests_each_with_its_own_copy_of_one_image(self):
        """Both read the image, write to it and read it back; neither sees the other's bytes, and the image stays as it was."""
        kernel, initramfs = prepare("prepare_linux.sh", "--load", "disk")
        before = b"".join(hashlib.sha256(bytes([i])).digest() for i in range(256)) * 128 + b"a last part of a sector"
        sectors = len(before) // 512
        shown = before[:512 * sectors]
        numbers = b"".join(b"%d\n" % i for i in range(1, 20001))
        after = shown[:9 * 512] + numbers + shown[9 * 512 + len(numbers):]
        with tempfile.TemporaryDirectory() as folder:
            image = pathlib.Path(folder) / "image.raw"
            image.write_bytes(before)
            configuration = "".join(
                guest(name, kernel, initrd=initramfs.name, disk=image.name, memory="128M", paging=paging, cmdline=CMDLINE)
                for name, paging in (("first", "nested"), ("second", "shadow")))
            result = self.boot(configuration, kernel, initramfs, image)
        self.assertEqual(result.status, 0, result)
        for name in ("first", "second"):
            lines = lines_of(result.console, name)
            self.assertIn(b"disk: sectors %d serial bunshin-guest" % sectors, lines)
            self.assertIn(b"disk: before " + hashlib.sha256(shown).hexdigest().encode(), lines)
            self.assertIn(b"disk: after " + hashlib.sha256(after).hexdigest().encode(), lines)
            self.assertIn(b"disk: done", lines)


def add_paging_tests():
    for cpu in PROCESSORS:
        for paging in PAGING:
            def test(self, cpu=cpu, paging=paging):
                self.check(cpu, paging)
            setattr(Paging, f"test_{cpu}_{paging}", test)


add_paging_tests()


if __name__ == "__main__":
    main()
