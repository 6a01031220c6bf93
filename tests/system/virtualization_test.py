"""AMD-V and VT-x on bare metal: the guests `svm` and `vmx` on every profile that has the extension. They judge by the
manuals themselves; peers_test.py compares them with QEMU and Bochs."""

import subprocess
import sys
import unittest

import bunshin_process
from bunshin_process import BUNSHIN, GUESTS, SOURCE, run

AMD = ("generic-amd", "barcelona", "zen2", "zen3")
INTEL = ("generic", "p4-672", "merom", "penryn", "nehalem", "westmere", "sandy-bridge", "haswell", "skylake")


class Conformance(unittest.TestCase):
    def passes(self, guest, profile, timing="none", processors=1):
        with self.subTest(guest=guest, profile=profile, timing=timing):
            end = run("multiboot.yaml", {"include": SOURCE / f"configs/cpu/{profile}.yaml", "guest.kernel": GUESTS / guest,
                                         "machine.memory": "64MiB", "machine.timing": timing,
                                         "machine.cores": processors},
                      ("--max-cycles", 20_000_000_000))
            lines = end.console.decode(errors="replace").splitlines()
            wrong = [line for line in lines if not line.endswith((": ok", ": not present"))]
            self.assertEqual(wrong, ["end of facts"], end)
            self.assertNotIn(f"{guest}: not present", lines)
            self.assertEqual("sipi: exits: ok" in lines, processors == 2)
            self.assertEqual(end.status, 0, end)

    def test_svm(self):
        for profile in AMD:
            self.passes("svm", profile)

    def test_vmx(self):
        for profile in INTEL:
            self.passes("vmx", profile)

    def test_a_second_processor_sends_the_sipi(self):
        self.passes("vmx", "generic", processors=2)

    def test_every_rule_and_every_exit_is_shown_by_a_fact(self):
        command = [sys.executable, SOURCE / "tools/virtualization_table.py", "--check", BUNSHIN, GUESTS]
        end = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual(end.returncode, 0, end.stderr)

    def test_under_timing(self):
        for timing in ("inorder", "ooo"):
            self.passes("svm", "zen3", timing)
            self.passes("vmx", "haswell", timing)

    def test_each_says_so_where_its_extension_is_absent(self):
        for guest, profile in (("svm", "generic"), ("vmx", "generic-amd")):
            with self.subTest(guest):
                end = run("multiboot.yaml", {"include": SOURCE / f"configs/cpu/{profile}.yaml",
                                             "guest.kernel": GUESTS / guest})
                self.assertEqual(end.status, 0, end)
                self.assertIn(f"{guest}: not present".encode(), end.console)


if __name__ == "__main__":
    bunshin_process.main()
