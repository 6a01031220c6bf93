#!/usr/bin/env python3
"""Many small single-user systems at once (CHAPTER S24): 64 lab guests on a machine with 1 GiB, and what the number costs."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

import bunshin_process
from bunshin_process import GUESTS, SOURCE, main


class Density(unittest.TestCase):
    def test_sixty_four_guests_end_well_and_each_costs_what_one_does(self):
        with tempfile.TemporaryDirectory() as folder:
            numbers, picture = pathlib.Path(folder) / "density.json", pathlib.Path(folder) / "density.svg"
            process = subprocess.run(
                [sys.executable, SOURCE / "benchmarks/density.py", "--bunshin", bunshin_process.BUNSHIN, "--guests", GUESTS,
                 "--timing", "none", "--modes", "nested", "--counts", "1,64", "--json", numbers, "--svg", picture],
                capture_output=True, text=True, timeout=600, check=False)
            self.assertEqual(process.returncode, 0, process.stdout + process.stderr)
            one, many = json.loads(numbers.read_text())["modes"]["nested"]
            self.assertIn("</svg>", picture.read_text())
        self.assertEqual(many["guests"], 64)
        # Instructions, without caches: a guest and its exits are the same, only the turns come on top.
        self.assertLess(many["cycles"] / 64, 1.2 * one["cycles"])
        self.assertLess(many["bytes_per_guest"], 256 << 10)


if __name__ == "__main__":
    main()
