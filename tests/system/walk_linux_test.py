"""`run --walk-trace` on the beginning of a Debian boot."""

import collections
import json
import pathlib
import tempfile
import unittest

import bunshin_process
from bunshin_process import prepare, run


def boot(cycles, *options):
    """The run, and each walk's line as counted by what it is."""
    kernel, initramfs = prepare("prepare_linux.sh", "--flavour", "cloud")
    counts = collections.Counter()
    with tempfile.TemporaryDirectory() as directory:
        file = pathlib.Path(directory) / "walks"
        end = run("linux.yaml", {"guest.kernel": kernel, "guest.initrd": initramfs,
                                 "guest.cmdline": "console=ttyS0 panic=-1"},
                  ("--quiet", "--max-cycles", cycles, "--walk-trace", file, *options), timeout=600)
        with open(file) as lines:
            for walk in map(json.loads, lines):
                counts["walks"] += 1
                counts["references"] += walk["references"]
                counts["cycles"] += walk.get("cycles", 0)
                counts["charged"] += "cycles" in walk
                for key in ("access", "privilege", "mode", "result"):
                    counts[key, walk[key]] += 1
                counts["page", walk.get("page")] += 1
    return end, counts


class Boot(unittest.TestCase):
    def check(self, end, counts):
        self.assertEqual(end.status, 3, end)
        self.assertEqual(counts["walks"], end.stats["core0.walker.walks"])
        self.assertEqual(counts["references"], end.stats["core0.walker.references"])
        for kind in ("read", "write", "execute"):
            self.assertGreater(counts["access", kind], 0)
        for page in (4096, 2 << 20):
            self.assertGreater(counts["page", page], 0)
        self.assertGreater(counts["result", "page-fault"], 0)

    def test_functional(self):
        end, counts = boot(400_000_000)
        self.check(end, counts)
        self.assertEqual(counts["charged"], 0)

    def test_out_of_order_from_the_kernels_own_code_on(self):
        end, counts = boot(350_000_000, "--switch", "cycle:300000000=ooo")
        self.check(end, counts)
        self.assertGreater(counts["charged"], 1000)
        self.assertEqual(counts["cycles"], end.stats["core0.timing.walk_cycles"])


if __name__ == "__main__":
    bunshin_process.main()
