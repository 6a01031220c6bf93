#!/usr/bin/env python3
"""The project's own hypervisor, booted as an image: on the simulated machine's AMD-V and VT-x, on QEMU's AMD-V and on
Bochs' VT-x."""

import pathlib
import shutil
import subprocess
import tempfile
import unittest

import bochs
from bunshin_process import GUESTS, main
from hypervisor_process import IMAGE, guest, run_hypervisor

PAGING = ("nested", "shadow", "vtlb")


class Booted(unittest.TestCase):
    cpu = "barcelona"

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.folder = pathlib.Path(self.directory.name)

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return path

    def boot(self, configuration, *kernels, memory="256MiB", **settings):
        """The run on the simulated machine. An underscore in the name of a setting stands for a dot."""
        return run_hypervisor(self.cpu, configuration, *(GUESTS / kernel for kernel in kernels), memory=memory,
                              settings={name.replace("_", "."): value for name, value in settings.items()})


class Processor:
    """What holds on every processor: `cpu`, and the ways of paging that it knows."""
    paging = PAGING

    def test_selftest_passes_in_every_mode(self):
        for paging in self.paging:
            with self.subTest(paging=paging):
                result = self.boot(f"paging = {paging}\n" + guest("a", "selftest"), "selftest")
                self.assertEqual(result.status, 0, str(result))
                self.assertIn(b"selftest: all passed", result.console, str(result))

    def test_lab_kernels_pass_in_every_mode(self):
        for paging in self.paging:
            for kernel in ("lab", "lab32"):
                with self.subTest(paging=paging, kernel=kernel):
                    result = self.boot(f"paging = {paging}\n" + guest("a", kernel, cmdline="run=check"), kernel)
                    self.assertEqual(result.status, 0, str(result))
                    self.assertIn(b"lab: power off, 0 failed", result.console, str(result))

    def test_memory_above_4_gib_is_used(self):
        """A quarter of a gibibyte lies there, and the highest memory is given away first; the second guest has both."""
        for paging in self.paging:
            with self.subTest(paging=paging):
                configuration = f"paging = {paging}\n" + "".join(
                    guest(name, kernel, memory=size, cmdline="run=check")
                    for name, kernel, size in (("high", "lab", "240M"), ("low", "lab32", "16M")))
                result = self.boot(configuration, "lab", "lab32", memory="3328MiB")
                self.assertEqual(result.status, 0, str(result))

    def test_nested_pages_of_several_sizes(self):
        if "nested" not in self.paging:
            self.skipTest("the processor has no nested paging")
        for size in ("4K", "2M"):  # 1G: hypervisor_walks_test
            with self.subTest(size=size):
                result = self.boot(f"nested_page = {size}\n" + guest("a", "lab", cmdline="run=check"), "lab")
                self.assertEqual(result.status, 0, str(result))

    def test_a_bad_neighbour_harms_nobody(self):
        """S2: a guest panics, one loops with interrupts off, one writes everywhere, one shuts its processor down."""
        bad = ("panic", "hang", "scribble", "triplefault")
        configuration = "slice = 2ms\n"
        for index, paging in enumerate(self.paging):
            configuration += guest(f"good{index}", "lab", memory="16M", paging=paging, cmdline="run=check")
        for index, program in enumerate(bad):
            configuration += guest(program, "lab", memory="16M", paging=self.paging[index % len(self.paging)],
                                   limit="400ms", cmdline=f"run={program}")
        result = self.boot(configuration, "lab")
        self.assertEqual(result.status, 1, str(result))  # the bad ones failed, and that is told
        for index in range(len(self.paging)):
            self.assertIn(b"good%d| lab: power off, 0 failed" % index, result.console, str(result))

    def test_many_guests(self):
        """S24, small."""
        count = 24
        configuration = f"slice = 2ms\npaging = {self.paging[0]}\n" + "".join(
            guest(f"g{i}", "lab", memory="6M", cmdline="run=check") for i in range(count))
        result = self.boot(configuration, "lab", memory="512MiB")
        self.assertEqual(result.status, 0, str(result))
        self.assertEqual(result.console.count(b"lab: power off, 0 failed"), count)

    def test_repeats_to_the_cycle(self):
        results = [self.boot("paging = shadow\n" + guest("a", "lab", cmdline="run=check"), "lab") for _ in range(2)]
        self.assertEqual(results[0].stats["sim.state_hash"], results[1].stats["sim.state_hash"])


class Barcelona(Processor, Booted):
    """AMD-V, nested paging."""
    cpu = "barcelona"


class Nehalem(Processor, Booted):
    """VT-x with EPT, but without unrestricted guest: a guest that does not page does so through an identity map."""
    cpu = "nehalem"


class Skylake(Processor, Booted):
    """VT-x with all that the hypervisor uses."""
    cpu = "skylake"


class Prescott(Processor, Booted):
    """The first VT-x: neither secondary controls, nor VPID, nor a way to load EFER or the PAT."""
    cpu = "p4-672"
    paging = ("shadow", "vtlb")

    def test_nested_paging_is_refused(self):
        result = self.boot("paging = nested\n" + guest("a", "lab"), "lab")
        self.assertEqual(result.status, 1, str(result))
        self.assertIn("guest a: this processor has no nested paging: choose shadow or vtlb", result.com2)


class Refusals(Booted):
    def test_a_processor_without_virtualization_is_told_what_is_missing(self):
        features = "[fpu,pse,tsc,msr,pae,cx8,apic,mtrr,pge,cmov,pat,mmx,fxsr,sse,sse2,syscall,nx,lm]"
        result = self.boot(guest("a", "lab"), "lab", cpu_features=features)
        self.assertEqual(result.status, 1, str(result))
        self.assertIn("guests cannot run on this processor: AMD-V: it has none (CPUID 80000001H:ECX.SVM); "
                      "VT-x: it has none (CPUID 1:ECX.VMX)", result.com2)

    def test_bad_configurations_and_images_are_refused(self):
        cut = GUESTS / "lab"
        for configuration in ("# nothing\n", "paging = fast\n", guest("a", "nothing"), guest("a", "lab", memory="4G"),
                              guest("a", "0"), guest("a", "lab", memory="1M")):
            with self.subTest(configuration=configuration):
                result = self.boot(configuration, cut.name)
                self.assertEqual(result.status, 1, str(result))


class OnBochs(unittest.TestCase):
    """Another's VT-x, in its first form, with EPT alone, and with all that the hypervisor uses."""
    MODELS = {"core2_penryn_t9600": PAGING[1:], "corei5_lynnfield_750": PAGING, "corei7_skylake_x": PAGING}

    def check(self, kernel, line, **keys):
        for model, modes in self.MODELS.items():
            for paging in modes:
                with self.subTest(model=model, paging=paging):
                    configuration = f"paging = {paging}\n" + guest("a", kernel, memory="16M", **keys)
                    modules = [("vmm.cfg", configuration.encode()), (kernel, (GUESTS / kernel).read_bytes())]
                    console = bochs.run(IMAGE, [line], memory=128, timeout=120, model=model, modules=modules)
                    self.assertIn(line.encode(), console)

    def test_selftest_passes_in_every_mode(self):
        self.check("selftest", "selftest: all passed")

    def test_lab_kernels_pass_in_every_mode(self):
        for kernel in ("lab", "lab32"):
            self.check(kernel, "lab: power off, 0 failed", cmdline="run=check")


class OnQemu(Booted):
    def qemu(self, configuration, *kernels):
        """Guests' console, hypervisor's console and status on QEMU."""
        program = shutil.which("qemu-system-x86_64")
        if program is None:
            raise unittest.SkipTest("qemu-system-x86_64 is not installed")
        modules = [self.write("vmm.cfg", configuration)] + [GUESTS / kernel for kernel in kernels]
        consoles = [self.folder / "com1", self.folder / "com2"]
        process = subprocess.run(
            [program, "-accel", "tcg", "-cpu", "max", "-m", "256", "-display", "none", "-no-reboot", "-kernel", IMAGE,
             "-initrd", ",".join(map(str, modules)), "-serial", f"file:{consoles[0]}", "-serial", f"file:{consoles[1]}",
             "-device", "isa-debug-exit,iobase=0xf4,iosize=4"],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=240, check=False)
        return consoles[0].read_text(), consoles[1].read_text(), process.returncode

    def test_boots_on_qemu_with_the_same_console(self):
        for paging in PAGING:
            with self.subTest(paging=paging):
                configuration = f"paging = {paging}\n" + guest("a", "selftest")
                guests, own, status = self.qemu(configuration, "selftest")
                self.assertEqual(status, 0, own + guests)
                here = self.boot(configuration, "selftest")
                self.assertIn(guests.strip().encode(), here.console.replace(b"\r", b""))

    def test_qemu_is_told_what_is_wrong(self):
        _, own, status = self.qemu("paging = nested\n  colour = red\n", "lab")
        self.assertNotEqual(status, 0)
        self.assertIn("vmm.cfg:2:3: unknown key", own)


if __name__ == "__main__":
    main()
