"""Whole guests print the same on QEMU, on Bochs and here; where those differ the manual decides.

What they do otherwise is in peer_disagreements.py."""

import re
import unittest

import bochs
import bunshin_process
import peer_disagreements
from bunshin_process import GUESTS, SOURCE, run, run_qemu

OPTIONS = ("--max-cycles", 20_000_000_000)


def lines(console):
    return console.decode(errors="replace").replace("\r", "").split("\n")


def lacks(theirs, ours):
    """Whether the peer said that its processor has no such feature, where ours passed."""
    name, _, verdict = theirs.rpartition(": ")
    return verdict == "not present" and ours == f"{name}: ok"


def verdicts(console):
    """What a guest that judges itself found: fact by fact, "ok", "not present", or something else."""
    found = {}
    for line in lines(console):
        fact = re.match(r"(.*?): (ok|not present|FAILED .*|left out, .*)$", line)
        if fact:
            found[fact[1]] = fact[2]
    return found


class SameAsPeers(unittest.TestCase):
    def compare(self, guest, *last_lines, peers=("qemu", "bochs"), settings=None):
        here = run("multiboot.yaml", {"guest.kernel": GUESTS / guest, "machine.memory": "64MiB", **(settings or {})}, OPTIONS)
        ours = lines(here.console)
        if f"{guest}: not present" in ours:
            self.skipTest(f"the profile has no {guest}")
        self.assertEqual(here.status, 0, here)
        theirs = {}
        if "qemu" in peers:
            theirs["qemu"] = lines(run_qemu(GUESTS / guest)[0])
        if "bochs" in peers:
            theirs["bochs"] = lines(bochs.run(GUESTS / guest, last_lines, timeout=240))
        for peer, printed in theirs.items():
            self.assertEqual(len(printed), len(ours), f"{peer} printed more or fewer lines; its last: {printed[-3:]}")
        self.check(guest, ours, theirs)

    def check(self, guest, ours, theirs):
        rows = [row for row in peer_disagreements.ROWS if row.guest == guest]
        needed, unexplained = set(), []
        for number, line in enumerate(ours):
            for peer, printed in theirs.items():
                if printed[number] == line or lacks(printed[number], line):
                    continue
                found = [row for row in rows if peer in row.deviating and re.match(row.pattern, line)]
                needed.update(found)
                if not found:
                    unexplained.append(f"here   {line}\n{peer:6} {printed[number]}")
        self.assertEqual(unexplained, [], f"{len(unexplained)} lines differ:\n" + "\n".join(unexplained[:40]))
        stale = [row for row in rows if row not in needed and set(row.deviating) & set(theirs)]
        self.assertEqual(stale, [], "rows that no line needs")

    def test_protected_mode(self):
        self.compare("protected", "end of facts")

    def test_long_mode(self):
        self.compare("long_mode", "end of facts")

    def test_selftest(self):
        self.compare("selftest", "selftest: all passed")

    def test_tasks(self):
        """QEMU stops at a task whose conforming code segment has another RPL (SDM vol. 3, table 7-1)."""
        self.compare("tasks", "all checks passed", peers=("bochs",))

    def test_interrupts(self):
        self.compare("interrupts", "end of facts")

    def test_processor(self):
        """QEMU stops at a write to CR4 that the manual refuses."""
        self.compare("processor", "all checks passed", "some checks failed", peers=("bochs",))

    def test_svm(self):
        """Bochs 2.7 does not survive a guest CR3 beyond physical memory, which VMRUN must refuse."""
        self.compare("svm", "end of facts", peers=("qemu",), settings={"include": SOURCE / "configs/cpu/generic-amd.yaml"})

    def test_vmx(self):
        """QEMU's interpreter has no VT-x. Features differ, so facts are compared by their names."""
        here = run("multiboot.yaml", {"guest.kernel": GUESTS / "vmx", "machine.memory": "64MiB"}, OPTIONS)
        self.assertEqual(here.status, 0, here)
        ours = verdicts(here.console)
        theirs = verdicts(bochs.run(GUESTS / "vmx", ("end of facts",), timeout=240))
        self.assertEqual(set(ours), set(theirs))
        both = [name for name in ours if "not present" not in (ours[name], theirs[name])]
        self.check("vmx", [f"{name}: {ours[name]}" for name in both],
                   {"bochs": [f"{name}: {theirs[name]}" for name in both]})

    def test_real_mode(self):
        self.compare("real_mode", "all checks passed")


if __name__ == "__main__":
    bunshin_process.main()
