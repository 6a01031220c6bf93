#!/usr/bin/env python3
"""What the methods of virtualization cost among themselves, by the lab kernel's nanobenchmarks."""

import subprocess
import sys
import unittest

import bunshin_process
from bunshin_process import GUESTS, SOURCE, main


class Methods(unittest.TestCase):
    def order(self, profile, modes):
        process = subprocess.run(
            [sys.executable, SOURCE / "benchmarks/nanobenchmarks.py", "--bunshin", bunshin_process.BUNSHIN, "--guests", GUESTS,
             "--profile", profile, "--modes", modes, "--arguments", "count=64 footprint=1M", "--check"],
            capture_output=True, text=True, timeout=300, check=False)
        self.assertEqual(process.returncode, 0, process.stdout + process.stderr)

    def test_with_nested_paging(self):
        self.order("zen3", "native,shadow,vtlb,nested")


if __name__ == "__main__":
    main()
