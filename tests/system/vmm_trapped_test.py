#!/usr/bin/env python3
"""Instructions on memory that the hypervisor watches: the guest `trapped` plays some 300 of them in RAM, on a device, on page tables
and across the ends of pages of different kinds, and compares; natively, on QEMU and in every mode of paging it prints the same."""

import unittest

from bunshin_process import GUESTS, SOURCE, main, run, run_qemu
from hypervisor_process import guest, run_hypervisor, run_machine

# QEMU 7.2's results are others than those of the processors that oracle_test compares the simulator's with.
OF_QEMU = (b"adox m32", b"blsi m32")


def digests(console):
    """By instruction."""
    lines = (line.strip().split(b": ") for line in console.splitlines())
    return {line[1]: line[2] for line in lines if len(line) == 3 and line[0] == b"trapped"}


class Trapped(unittest.TestCase):
    MODES = {"zen3": ("nested", "shadow"), "skylake": ("vtlb", "shadow"), "nehalem": ("nested",), "p4-672": ("vtlb",),
             "barcelona": ("vtlb",)}

    def native(self, cpu):
        result = run_machine(cpu, "multiboot", {"guest.kernel": GUESTS / "trapped", "machine.memory": "256MiB"})
        self.assertEqual(result.status, 0, str(result))
        self.assertIn(b" 0 failed", result.console)
        return result.console

    def test_the_same_in_every_mode(self):
        for cpu, modes in self.MODES.items():
            native = self.native(cpu)
            for paging in modes:
                with self.subTest(cpu=cpu, paging=paging):
                    result = run_hypervisor(cpu, f"paging = {paging}\n" + guest("a", "trapped"), GUESTS / "trapped", timeout=300)
                    self.assertEqual(result.status, 0, str(result))
                    self.assertEqual(result.console, native, str(result))

    def test_the_same_where_the_hypervisor_is_hosted(self):
        for cpu, paging in (("zen3", "shadow"), ("skylake", "nested")):
            with self.subTest(cpu=cpu, paging=paging):
                settings = {"include": SOURCE / f"configs/cpu/{cpu}.yaml", "guest.kernel": GUESTS / "trapped", "guest.initrd": "",
                            "vmm.paging": paging}
                result = run("lab.yaml", settings, options=("--timing", "none", "--vmm", "hosted"), timeout=300)
                self.assertEqual(result.status, 0, str(result))
                self.assertEqual(digests(result.console), digests(self.native(cpu)))

    def test_as_on_qemu(self):
        console, value = run_qemu(GUESTS / "trapped", memory=256)
        self.assertEqual(value, 0, console[-2000:])
        ours, theirs = digests(self.native("zen3")), digests(console)
        self.assertGreater(len(ours.keys() & theirs.keys()), 280)
        for name in sorted(ours.keys() & theirs.keys()):
            if name not in OF_QEMU:
                self.assertEqual(ours[name], theirs[name], name)


if __name__ == "__main__":
    main()
