"""The processor profiles of configs/cpu under guests: what their kernels say of them, and that they run at all."""

import re
import sys
import unittest

import bunshin_process
from bunshin_process import GUESTS, SOURCE, prepare, run

sys.path.insert(0, str(SOURCE / "tools"))
import profile_table  # noqa: E402

INTEL = ("p4-672", "merom", "penryn", "nehalem", "westmere", "sandy-bridge", "haswell", "skylake")
AMD = ("barcelona", "zen2", "zen3")


def fragment(profile):
    return {"include": SOURCE / f"configs/cpu/{profile}.yaml"}


def boot(profile, flavour="cloud", timing="none"):
    kernel, initramfs = prepare("prepare_linux.sh", "--flavour", flavour)
    return run("linux.yaml", {**fragment(profile), "guest.kernel": kernel, "guest.initrd": initramfs,
                              "machine.timing": timing}, timeout=3000)


class Boots(unittest.TestCase):
    def works(self, end):
        self.assertEqual(end.status, 0, end)
        self.assertIn(b"bunshin: workload done", end.console)
        for trouble in (b"Call Trace", b"BUG:", b"Kernel panic", b"Oops"):
            self.assertNotIn(trouble, end.console)


class Functional(Boots):
    def test_every_64_bit_profile_boots_debian(self):
        for profile in INTEL + AMD:
            with self.subTest(profile):
                self.works(boot(profile))

    def test_northwood_boots_a_32_bit_debian(self):
        end = boot("p4-northwood", "686")
        self.works(end)
        self.assertIn(b"Intel(R) Pentium(R) 4 CPU 3.20GHz (family: 0xf, model: 0x2, stepping: 0x9)", end.console)

    def test_northwood_refuses_a_64_bit_kernel(self):
        end = boot("p4-northwood")
        self.assertNotIn(b"workload done", end.console)


class CachesThatTheKernelSees(unittest.TestCase):
    """/sys/devices/system/cpu/cpu0/cache, which lscpu reads."""

    SHELL = ("rdinit=/bin/busybox -- sh -c \"b=/bin/busybox; $b mount -t sysfs none /sys; "
             "cd /sys/devices/system/cpu/cpu0/cache; $b grep . index*/*; $b poweroff -f\"")

    def seen(self, profile):
        """(level, type) → (KiB, ways, processors) on a machine of two."""
        kernel, initramfs = prepare("prepare_linux.sh")
        end = run("linux.yaml", {**fragment(profile), "guest.kernel": kernel, "guest.initrd": initramfs, "machine.cores": 2,
                                 "guest.cmdline": f"console=ttyS0 panic=-1 quiet {self.SHELL}"}, timeout=1200)
        self.assertEqual(end.status, 0, end)
        found = {}
        for index, name, value in re.findall(r"index(\d)/(\w+):(\S+)", end.console.decode()):
            found.setdefault(index, {})[name] = value
        return {(int(c["level"]), c["type"]): (int(c["size"].rstrip("K")), int(c["ways_of_associativity"]),
                                               c["shared_cpu_list"]) for c in found.values()}

    def configured(self, profile):
        parameters = profile_table.profile(profile)
        units = {"KiB": 1, "MiB": 1024}
        caches = {}
        for key, name in (("l1d", (1, "Data")), ("l1i", (1, "Instruction")), ("l2", (2, "Unified")), ("l3", (3, "Unified"))):
            size = parameters[f"caches.{key}.size"].value
            if size != "0":
                shared = key == "l3" or (key == "l2" and "caches.l2.shared_by" in parameters)
                caches[name] = (int(size[:-3]) * units[size[-3:]], int(parameters[f"caches.{key}.ways"].value),
                                "0-1" if shared else "0")
        return caches

    def test_are_the_profiles(self):
        for profile in ("penryn", "westmere", "barcelona", "zen2"):
            with self.subTest(profile):
                self.assertEqual(self.seen(profile), self.configured(profile))


class OwnGuests(unittest.TestCase):
    def test_northwood_runs_protected_mode(self):
        for guest in ("protected", "tasks"):
            for timing in ("none", "ooo"):
                with self.subTest(guest=guest, timing=timing):
                    end = run("multiboot.yaml", {**fragment("p4-northwood"), "guest.kernel": GUESTS / guest,
                                                 "machine.timing": timing})
                    self.assertEqual(end.status, 0, end)
                    self.assertIn(b"task", end.console)

    def test_structure_caches_save_references_and_none_is_missed_without_them(self):
        settings = {**fragment("haswell"), "guest.kernel": GUESTS / "tlb_bound", "guest.cmdline": "btree short",
                    "machine.timing": "inorder", "machine.memory": "1GiB"}
        cached = run("multiboot.yaml", settings)
        bare = run("multiboot.yaml", {**settings, "structure_caches.pml4": 0, "structure_caches.pdpt": 0,
                                      "structure_caches.pd": 0})
        for end in (cached, bare):
            self.assertEqual(end.status, 0, end)
        references = lambda end: (end.stats["core0.timing.walk_references"] / end.stats["core0.timing.walks"])
        # Identity-mapped large pages of the runtime end a level earlier.
        self.assertGreater(references(bare), 3.95)
        self.assertLessEqual(references(bare), 4)
        self.assertGreater(references(cached), 1)
        self.assertLess(references(cached), 2)


if __name__ == "__main__":
    bunshin_process.main()
