"""A Debian boot, out of order, ends with a report that says where the cycles went."""

import json
import shutil

import bunshin_process
from bunshin_process import prepare
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


if __name__ == "__main__":
    bunshin_process.main()
