"""Unmodified Debian on every translation scheme, with time modeled: the same results, other costs."""

import unittest

import bunshin_process
from bunshin_process import prepare, run
from linux_test import WORKLOAD

# Merom's second-level TLB (configs/cpu/merom.yaml has the source), so that capacity decides and not flushes alone.
SMALL_TLB = {"tlb.small.entries": 256, "tlb.small.ways": 4, "tlb.large.entries": 32, "tlb.large.ways": 4}


def boot(scheme):
    kernel, initramfs = prepare("prepare_linux.sh", "--flavour", "cloud")
    return run("linux.yaml", {"guest.kernel": kernel, "guest.initrd": initramfs, "translation.scheme": scheme,
                              "guest.cmdline": "console=ttyS0 panic=-1", **SMALL_TLB},
               options=["--timing", "inorder"], timeout=1500)


class Schemes(unittest.TestCase):
    def works(self, end):
        self.assertEqual(end.status, 0, end)
        for line in WORKLOAD:
            self.assertIn(line, end.console)

    def test_part_of_memory_tlb_hits(self):
        end = boot("pom")
        self.works(end)
        hits = end.stats["core0.scheme.small.hits"] + end.stats["core0.scheme.large.hits"]
        self.assertGreater(hits, 1000)
        self.assertLess(end.stats["core0.walker.walks"], end.stats["core0.tlb.misses"], "hits need no walk")

    def test_software_filled_tlb_traps_on_every_miss(self):
        end = boot("software")
        self.works(end)
        self.assertEqual(end.stats["core0.scheme.traps"], end.stats["core0.walker.walks"])
        self.assertGreater(end.stats["core0.scheme.instructions"], 10 * end.stats["core0.scheme.traps"])
        self.assertEqual(end.stats["core0.timing.structure_cache.hits.2"], 0)


if __name__ == "__main__":
    bunshin_process.main()
