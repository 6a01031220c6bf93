"""A Debian boot, on the machine or under the hypervisor, ends with a report that says where the cycles went."""

import json
import shutil

import bunshin_process
from bunshin_process import SOURCE, prepare
from report_test import Checks, run


class Debian(Checks):
    def test_a_boot_has_a_report(self):
        kernel, initramfs = prepare("prepare_linux.sh", "--flavour", "cloud")
        settings = {"guest.kernel": kernel, "guest.initrd": initramfs, "guest.cmdline": "console=ttyS0 panic=-1"}
        process, out = run("linux.yaml", settings, "--timing", "ooo", "--max-cycles", 700_000_000, timeout=1200)
        self.assertEqual(process.returncode, 3, process.stderr)
        values = self.check(out, True)
        self.assertGreater(values["core0.timing.walks"], 1000)
        profile = json.loads((out / "profile.json").read_text())
        self.assertGreater(len(profile["time_line"]["samples"]), 100)
        self.assertTrue(all(i["text"] for i in profile["code"]["instructions"]))
        shutil.rmtree(out)

    def test_the_kernel_of_a_guest_has_its_functions_named(self):
        """By the table in its own memory, wherever that lies in the machine's."""
        kernel, initramfs = prepare("prepare_linux.sh", "--flavour", "cloud")
        settings = {"guest.kernel": kernel, "guest.initrd": initramfs, "machine.memory": "512MiB",
                    "vmm.guest_memory": "256MiB", "vmm.paging": "nested", "include": SOURCE / "configs/cpu/zen3.yaml"}
        process, out = run("linux.yaml", settings, "--timing", "inorder", "--vmm", "bare", "--max-cycles", 900_000_000,
                           timeout=600)
        self.assertEqual(process.returncode, 3, process.stderr)
        functions = json.loads((out / "profile.json").read_text())["code"]["functions"]
        of_guest = {f["name"] for f in functions if not f["hypervisor"] and not f["page"]}
        of_hypervisor = {f["name"] for f in functions if f["hypervisor"]}
        self.assertLessEqual({"strcmp", "memmap_init_range"}, of_guest)
        self.assertIn("Guest::run", of_hypervisor)
        shutil.rmtree(out)


if __name__ == "__main__":
    bunshin_process.main()
