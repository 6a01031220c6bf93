"""A Debian system on a virtio disk: systemd reaches its login prompt."""

import unittest

import bunshin_process
from bunshin_process import prepare, run


class Disk(unittest.TestCase):
    def test_systemd_reaches_the_login_prompt(self):
        kernel, initramfs, image = prepare("prepare_disk_image.sh")
        end = run("linux.yaml",
                  {"guest.kernel": kernel, "guest.initrd": initramfs, "guest.disks": image,
                   "guest.cmdline": "console=ttyS0", "machine.memory": "1GiB"},
                  ("--until-console", "bunshin login:"), timeout=1700)
        self.assertEqual(end.status, 0, end)
        self.assertIn(b"bunshin login:", end.console)


if __name__ == "__main__":
    bunshin_process.main()
