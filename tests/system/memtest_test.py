"""Debian's memtest86+ completes a pass over 64 MiB on two processors without an error."""

import unittest

import bunshin_process
from bunshin_process import prepare, run


class Memtest(unittest.TestCase):
    def test_a_pass_without_errors(self):
        (image,) = prepare("prepare_memtest.sh")
        end = run("linux.yaml",
                  {"guest.kernel": image, "guest.cmdline": "console=ttyS0", "machine.cores": 2, "machine.memory": "64MiB"},
                  ("--until-screen", "Pass: 1", "--max-cycles", 400_000_000_000), timeout=3500)
        self.assertEqual(end.status, 0, end)


if __name__ == "__main__":
    bunshin_process.main()
