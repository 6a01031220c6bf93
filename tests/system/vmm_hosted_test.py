#!/usr/bin/env python3
"""The hypervisor hosted in the simulator beside the one that boots: the same guests, consoles and exits, and nearly the cycles."""

import subprocess
import sys
import tempfile
import unittest

from bunshin_process import BUNSHIN, GUESTS, SOURCE, main, run

PAGING = ("nested", "shadow", "vtlb")
# On a machine whose TLB software fills, that too.
ALL_PAGING = PAGING + ("software",)
# Their number depends on how fast the hypervisor is: docs/hosted_hypervisor.md.
BY_TIME = ("interrupt", "interrupt_window")
MOST_BY_TIME = 3


def boot(binding, guest, paging, cpu, timing="none", settings=None):
    return run("lab.yaml", {"include": SOURCE / f"configs/cpu/{cpu}.yaml", "guest.kernel": GUESTS / guest,
                            "guest.cmdline": "run=check", "machine.memory": "128MiB", "vmm.binding": binding,
                            "translation.scheme": "software" if paging == "software" else "radix",
                            "vmm.paging": paging, **(settings or {})}, options=["--timing", timing])


def exits(result):
    """Exits by reason, without those that time causes; and how many of those there were."""
    counts = {name.split(".")[-2]: value for name, value in result.stats.items()
              if name.startswith("vmm.guest.") and name.endswith(".count")}
    return {reason: n for reason, n in counts.items() if reason not in BY_TIME}, sum(counts.get(r, 0) for r in BY_TIME)


class Hosted(unittest.TestCase):
    def compare(self, guest, paging, cpu):
        bare, hosted = self.consoles(guest, paging, cpu)
        (hosted_exits, hosted_timed), (bare_exits, bare_timed) = exits(hosted), exits(bare)
        self.assertEqual(hosted_exits, bare_exits)
        self.assertGreater(len(bare_exits), 2)
        self.assertLessEqual(abs(hosted_timed - bare_timed), MOST_BY_TIME)

    def consoles(self, guest, paging, cpu, timing="none"):
        bare, hosted = (boot(binding, guest, paging, cpu, timing) for binding in ("bare", "hosted"))
        self.assertEqual(bare.status, 0, str(bare))
        self.assertEqual(hosted.status, 0, str(hosted))
        self.assertEqual(hosted.console, bare.console)
        return bare, hosted

    def test_consoles_and_exits_are_the_same(self):
        for cpu in ("barcelona", "nehalem"):
            for guest in ("lab", "selftest"):
                for paging in ALL_PAGING:
                    with self.subTest(cpu=cpu, guest=guest, paging=paging):
                        self.compare(guest, paging, cpu)

    def test_cycles_are_near(self):
        for cpu, timing in (("nehalem", "inorder"), ("zen3", "ooo")):
            for paging in ALL_PAGING:
                with self.subTest(cpu=cpu, timing=timing, paging=paging):
                    bare, hosted = (self.busy(r) for r in self.consoles("lab", paging, cpu, timing))
                    print(f"{cpu} {timing} {paging}: bare {bare}, hosted {hosted}, {100 * (hosted / bare - 1):+.1f} %")
                    self.assertLess(abs(hosted / bare - 1), 0.15)

    @staticmethod
    def busy(result):
        """Cycles without those in which the core was halted, and without the boot, which waits for a clock in both."""
        return (result.stats["sim.cycles"] - result.stats["core0.timing.cycles.halted"]
                - result.stats["vmm.guest.guest.start_tsc"])

    def test_several_guests(self):
        results = []
        for binding in ("bare", "hosted"):
            guests = ",".join(f"{{name: g{i}, memory: 16MiB, kernel: {GUESTS / 'lab'}, cmdline: run=check, paging: {paging}}}"
                              for i, paging in enumerate(PAGING))
            result = boot(binding, "lab", "nested", "zen3", settings={"vmm.guests": f"[{guests}]"})
            self.assertEqual(result.status, 0, str(result))
            results.append(result)
        lines = [sorted(r.console.splitlines()) for r in results]
        self.assertEqual(lines[0], lines[1])

    def test_the_command_that_measures_makes_a_table(self):
        process = subprocess.run(
            [sys.executable, SOURCE / "tools/vmm_calibrate.py", SOURCE / "configs/experiment/lab.yaml", "--bunshin", BUNSHIN,
             "--timing", "none", "--paging", "vtlb", "--set", f"guest.kernel={GUESTS / 'lab'}", "--set",
             "guest.cmdline=run=check", "--set", f"include={SOURCE / 'configs/cpu/zen3.yaml'}"],
            stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=120)
        self.assertEqual(process.returncode, 0, process.stderr.decode())
        self.assertIn(b"- vtlb.page_fault=", process.stdout)
        with tempfile.NamedTemporaryFile(suffix=".yaml") as table:
            table.write(process.stdout)
            table.flush()
            result = boot("hosted", "lab", "vtlb", "zen3", settings={"include": table.name})
        self.assertEqual(result.status, 0, str(result))

    def test_repeats_to_the_cycle(self):
        hashes = {boot("hosted", "lab", "shadow", "zen3").stats["sim.state_hash"] for _ in range(2)}
        self.assertEqual(len(hashes), 1)

    def test_ends_at_a_limit(self):
        result = run("lab.yaml", {"include": f"{SOURCE}/configs/cpu/zen3.yaml", "guest.kernel": GUESTS / "lab",
                                  "vmm.binding": "hosted"}, options=["--timing", "none", "--max-cycles", "90000000"])
        self.assertEqual(result.status, 3, str(result))

    def test_what_it_cannot_do_is_told(self):
        for cpu, settings, word in (("p4-northwood", {}, "no 64-bit mode"),
                                    ("zen3", {"vmm.execution": "deprivileged"}, "no guests in user state")):
            result = boot("hosted", "lab", "shadow", cpu, settings=settings)
            self.assertEqual(result.status, 2, str(result))
            self.assertIn(word, result.messages)

    def test_a_bad_table_is_told(self):
        for costs, word in (("[nothing=5]", "there is no such cost"), ("[flat.io=5]", "there is no such cost"),
                            ("[io]", "expected NAME=CYCLES"), ("[io=1.2345]", "expected NAME=CYCLES")):
            result = boot("hosted", "lab", "nested", "zen3", settings={"vmm.costs.none": costs})
            self.assertEqual(result.status, 2, str(result))
            self.assertIn(word, result.messages)


if __name__ == "__main__":
    main()
