#!/usr/bin/env python3
"""Translation under the project's hypervisor, reference by reference: a cold nested walk of a running guest makes 25 accesses
(CHAPTER S17), and a TLB hit costs what it costs without a hypervisor (S13)."""

import json
import pathlib
import re
import tempfile
import unittest

from bunshin_process import GUESTS, SOURCE, main, run
from hypervisor_process import guest, run_hypervisor

ADDRESS = 0x000F_FFFF_FFFF_F000
NO_CACHES = {"second_stage.nested_tlb.entries": 0} | {
    f"{dimension}structure_caches.{key}": value for dimension in ("", "second_stage.")
    for key, value in {"kind": "translation", "pml5": 0, "pml4": 0, "pdpt": 0, "pd": 0}.items()}


def lab(profile, programs, paging=None, timing="ooo", options=(), memory="64MiB", **settings):
    """The lab kernel, under the hypervisor if `paging` says how."""
    settings = {"include": SOURCE / f"configs/cpu/{profile}.yaml", "guest.kernel": GUESTS / "lab", "guest.cmdline": programs,
                "machine.memory": "2GiB", **settings}
    if paging is not None:
        settings |= {"vmm.binding": "bare", "vmm.paging": paging, "vmm.guest_memory": memory}
    return run("lab.yaml", settings, ("--quiet", "--timing", timing, *options))


class ColdWalks(unittest.TestCase):
    def walks(self, profile, nested_page, program):
        """Walks of the program's data by a guest with no cache of any part of a walk."""
        with tempfile.TemporaryDirectory() as directory:
            file = pathlib.Path(directory) / "walks"
            # Nearly all memory that the lab kernel can use: then its tables lie beyond the first 2 MiB, where video memory is a
            # hole.
            end = lab(profile, f"run={program} footprint=16M count=500", "nested", "none", ("--walk-trace", file), "1022MiB",
                      **{"vmm.nested_page": nested_page, "tlb.large.entries": "8", "tlb.large.ways": "8"}, **NO_CACHES)
            self.assertEqual(end.status, 0, end)
            walks = [json.loads(line) for line in file.read_text().splitlines()]
        return [w for w in walks if w["privilege"] == "user" and w["access"] == "read" and w["result"] == "translated"
                and any(s["dimension"] == 2 for s in w["steps"])]

    def rows(self, walk):
        """For each entry of the guest's, and at last the data: the references to nested tables that find it, and its own."""
        rows = [[]]
        for step in walk["steps"]:
            if step.get("update"):
                continue
            rows[-1].append(step)
            if step["dimension"] == 1:
                rows.append([])
        return rows

    def check_walk(self, walk, guest_levels, nested_levels):
        rows = self.rows(walk)
        self.assertEqual([r[-1]["level"] for r in rows[:-1]], guest_levels, walk)
        wanted = int(walk["cr3"], 16) & ADDRESS
        for row in rows:
            nested = [s for s in row if s["dimension"] == 2]
            self.assertEqual([s["level"] for s in nested], nested_levels, walk)
            # Each nested table is the one that the entry before it names.
            for above, below in zip(nested, nested[1:]):
                self.assertEqual(int(above["entry"], 16) & ADDRESS, int(below["address"], 16) & ADDRESS)
            if row is not rows[-1]:
                page = 12 + 9 * (nested_levels[-1] - 1)
                base = int(nested[-1]["entry"], 16) & ADDRESS & -(1 << page)
                entry = int(row[-1]["address"], 16)
                self.assertEqual(entry & -(1 << page), base, "the guest's entry lies where the nested tables say")
                self.assertEqual(entry & ((1 << page) - 1) & ADDRESS, wanted & ((1 << page) - 1) & ADDRESS)
                wanted = int(row[-1]["entry"], 16) & ADDRESS
        count = len(guest_levels) * (len(nested_levels) + 1) + len(nested_levels)
        self.assertEqual(walk["references"], count)
        return count

    def check(self, profile, nested_page, program, guest_levels, nested_levels, published):
        walks = self.walks(profile, nested_page, program)
        self.assertGreater(len(walks), 10)
        cold = [w for w in walks if w["references"] == published]
        self.assertGreater(len(cold), 0.9 * len(walks), "the others touch the first 2 MiB, whose nested pages are small")
        for walk in cold[-200:]:
            self.assertEqual(self.check_walk(walk, guest_levels, nested_levels), published)

    def test_25_accesses_on_amd_v(self):
        self.check("zen3", "4K", "walk4k", [4, 3, 2, 1], [4, 3, 2, 1], 24)

    def test_25_accesses_on_vt_x(self):
        self.check("nehalem", "4K", "walk4k", [4, 3, 2, 1], [4, 3, 2, 1], 24)

    def test_large_nested_pages(self):
        for profile in ("zen3", "skylake"):
            with self.subTest(profile):
                self.check(profile, "2M", "walk4k", [4, 3, 2, 1], [4, 3, 2], 19)

    def test_large_pages_of_the_guest(self):
        self.check("zen3", "4K", "walk2m", [4, 3, 2], [4, 3, 2, 1], 19)


class NestedGigabytes(unittest.TestCase):
    """vmm.nested_page: 1G is what a running guest gets, or an error."""

    def boot(self, profile, nested_page, memory="2GiB", machine="4GiB", options=()):
        settings = {"include": SOURCE / f"configs/cpu/{profile}.yaml", "guest.kernel": GUESTS / "gigabyte",
                    "machine.memory": machine, "vmm.binding": "bare", "vmm.paging": "nested", "vmm.guest_memory": memory,
                    "vmm.nested_page": nested_page, **NO_CACHES}
        return run("lab.yaml", settings, ("--quiet", "--timing", "none", *options))

    def references(self, profile, nested_page):
        """Of the walks of a guest all of whose tables and data lie in its second GiB."""
        with tempfile.TemporaryDirectory() as directory:
            file = pathlib.Path(directory) / "walks"
            end = self.boot(profile, nested_page, options=("--walk-trace", file))
            self.assertEqual(end.status, 0, end)
            self.assertIn(b"gigabyte: 0 of 512 words wrong", end.console)
            walks = [json.loads(line) for line in file.read_text().splitlines()]
        window = [w for w in walks if int(w["linear"], 16) >> 39 == 1 and w["result"] == "translated"]
        self.assertGreater(len(window), 500)
        levels = {tuple(s["level"] for s in w["steps"] if s["dimension"] == 2) for w in window}
        return {w["references"] for w in window}, levels

    def test_a_walk_on_amd_v_and_vt_x_makes_15_accesses(self):
        for profile in ("zen3", "barcelona", "haswell"):
            with self.subTest(profile):
                self.assertEqual(self.references(profile, "1G"), ({14}, {(4, 3) * 5}))

    def test_with_2m_it_makes_20(self):
        self.assertEqual(self.references("zen3", "2M"), ({19}, {(4, 3, 2) * 5}))

    def test_who_cannot_have_them_is_told_why(self):
        for profile, memory, machine, why in (
                ("nehalem", "2GiB", "4GiB", "this processor's second stage has no pages of 1 GiB"),
                ("zen3", "1536MiB", "4GiB", "needs a guest with 2 GiB or more"),
                ("zen3", "2GiB", "2560MiB", "begins at a multiple of 1 GiB")):
            with self.subTest(why):
                end = self.boot(profile, "1G", memory, machine)
                self.assertEqual(end.status, 2, end)
                self.assertIn(why, end.messages)


class SoftwareFilledTlb(unittest.TestCase):
    """S14: no tables but the guest's; what the TLB lacks the hypervisor puts in."""

    def boot(self, profile, scheme="software"):
        return lab(profile, "run=check", "software", "none", **{"translation.scheme": scheme})

    def test_guests_run_on_amd_v_and_vt_x(self):
        for profile in ("zen3", "nehalem"):
            with self.subTest(profile):
                end = self.boot(profile)
                self.assertEqual(end.status, 0, end)
                self.assertIn(b"lab: power off, 0 failed", end.console)
                fills = end.stats["core0.scheme.guest_fills"]
                self.assertGreater(fills, 100)
                self.assertGreaterEqual(end.stats["core0.scheme.guest_faults"], fills)
                self.assertEqual(end.stats["vmm.guest.guest.fills"], fills)

    def test_processors_that_cannot_are_refused(self):
        for profile, scheme in (("zen3", "radix"), ("p4-672", "software")):
            with self.subTest(profile):
                end = self.boot(profile, scheme)
                self.assertEqual(end.status, 2, end)
                self.assertIn("vmm.paging: 'software' is not possible", end.messages)


class GuestSwitches(unittest.TestCase):
    """Translations are kept by guest: they outlive the others' turns, and are nobody else's."""

    def turns(self, cpu, paging, length):
        """Two guests, a loop in user mode each: switches from one to the other, and walks."""
        end = run_hypervisor(cpu, f"paging = {paging}\nslice = {length}\n" + "".join(
            guest(name, GUESTS / "lab", memory="16M", cmdline="run=callret count=3000000") for name in ("a", "b")),
            GUESTS / "lab")
        self.assertEqual(end.status, 0, end)
        switches = sum(int(n) for n in re.findall(r"exits interrupt (\d+) ", end.com2))
        return switches, end.stats["core0.walker.walks"]

    def walks_per_switch(self, cpu, paging):
        many, few = self.turns(cpu, paging, "100us"), self.turns(cpu, paging, "2ms")
        self.assertGreater(many[0], few[0] + 100)
        return (many[1] - few[1]) / (many[0] - few[0])

    def test_translations_survive_where_the_tlb_has_tags(self):
        for cpu in ("zen3", "barcelona", "nehalem"):  # ASIDs with and without a flush of one; VPIDs
            with self.subTest(cpu):
                self.assertLess(self.walks_per_switch(cpu, "nested"), 0.3)

    def test_without_tags_they_do_not(self):
        self.assertGreater(self.walks_per_switch("p4-672", "shadow"), 2)

    def test_guests_at_the_same_addresses_see_their_own_memory(self):
        modes = ("nested", "shadow", "vtlb") * 2
        for cpu in ("zen3", "barcelona", "nehalem"):
            with self.subTest(cpu):
                end = run_hypervisor(cpu, "slice = 100us\n" + "".join(
                    guest(f"g{i}", GUESTS / "lab", memory="16M", paging=paging, cmdline="run=check")
                    for i, paging in enumerate(modes)), GUESTS / "lab")
                self.assertEqual(end.status, 0, end)
                self.assertEqual(end.console.count(b"lab: power off, 0 failed"), len(modes), end)


class TlbHits(unittest.TestCase):
    def cycles(self, profile, paging):
        """Of an access that hits, and of a call and its return."""
        translation = {"translation.scheme": "software"} if paging == "software" else {}
        end = lab(profile, "run=walk4k footprint=64K count=200000; run=callret count=200000", paging, **translation)
        self.assertEqual(end.status, 0, end)
        return re.findall(rb"bench (walk4k|callret) (\d+\.\d+) cycles", end.console)

    def check(self, profile, modes):
        native = self.cycles(profile, None)
        self.assertEqual(len(native), 2)
        for paging in modes:
            with self.subTest(paging):
                self.assertEqual(self.cycles(profile, paging), native)

    def test_cost_what_they_cost_natively(self):
        self.check("zen3", ("nested", "shadow", "vtlb", "software"))
        self.check("nehalem", ("nested", "vtlb"))


if __name__ == "__main__":
    main()
