"""`bunshin compare` on the lab kernel: the JSON's shape, cycles that add up, and costs that come out of the mechanisms."""

import json
import pathlib
import subprocess
import tempfile
import unittest

from bunshin_process import BUNSHIN, GUESTS, SOURCE, main

KEYS = {"cycles", "overhead", "guest_exit", "exits", "cycles_by_cause", "references_per_walk", "table_bytes"}
EXPERIMENT = SOURCE / "configs/experiment/paging-modes.yaml"
#: Page tables changed in the kernel, address spaces made and switched, and misses of the TLB.
PROGRAMS = "run=ptemod count=400; run=forkwait count=8; run=walk4k count=20000"


def compare(*arguments, out=None, timeout=180):
    """Exit status, the JSON, standard output and error."""
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "result.json"
        options = ["--out", out] if out else []
        process = subprocess.run([BUNSHIN, "compare", *map(str, arguments), "--json", str(path), *map(str, options)],
                                 stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False)
        return process, json.loads(path.read_text()) if path.exists() else {}


def lab(*arguments, programs=PROGRAMS, **keys):
    return compare(EXPERIMENT, "--set", f"guest.kernel={GUESTS / 'lab'}", "--set", "guest.initrd=",
                   "--set", f"guest.cmdline={programs}", *arguments, **keys)


class Comparison(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.process, cls.modes = lab("--timing", "ooo", out=cls.folder.name)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_every_mode_ends_well_and_has_the_keys(self):
        self.assertEqual(self.process.returncode, 0, self.process.stderr)
        self.assertEqual(list(self.modes), ["native", "shadow", "vtlb", "nested"])
        for name, mode in self.modes.items():
            self.assertEqual(set(mode), KEYS, name)
            self.assertEqual(mode["guest_exit"], 0, name)

    def test_causes_add_up_to_the_cycles(self):
        for name, mode in self.modes.items():
            causes = mode["cycles_by_cause"]
            self.assertAlmostEqual(sum(causes.values()) / mode["cycles"], 1, delta=0.01, msg=name)
            self.assertLess(causes.get("other", 0) / mode["cycles"], 0.01, name)

    def test_only_a_hypervisor_has_exits_handlers_and_tables(self):
        native = self.modes["native"]
        self.assertEqual((native["overhead"], native["exits"], native["table_bytes"]), (0, {}, 0))
        self.assertNotIn("world_switch", native["cycles_by_cause"])
        for name in ("shadow", "vtlb", "nested"):
            mode = self.modes[name]
            handlers = {cause[8:] for cause in mode["cycles_by_cause"] if cause.startswith("handler.")}
            self.assertEqual(handlers, set(mode["exits"]), name)
            self.assertGreater(mode["cycles_by_cause"]["world_switch"], 0, name)
            self.assertGreater(mode["table_bytes"], 0, name)

    def test_paging_costs_exits_where_the_hypervisor_translates(self):
        exits = {name: mode["exits"].get("page_fault", 0) for name, mode in self.modes.items()}
        self.assertEqual(exits["nested"], 0)
        self.assertGreater(exits["shadow"], 400, "each ptemod is a write to a protected table")
        cost = {name: mode["cycles_by_cause"].get("handler.page_fault", 0) for name, mode in self.modes.items()}
        self.assertGreater(cost["shadow"], 0)
        for name in ("shadow", "vtlb"):
            self.assertGreater(self.modes[name]["overhead"], self.modes["nested"]["overhead"], name)

    def test_only_nested_walks_have_two_dimensions(self):
        for name, mode in self.modes.items():
            second = mode["cycles_by_cause"].get("walk_dim2", 0)
            (self.assertGreater if name == "nested" else self.assertEqual)(second, 0, name)
        self.assertGreater(self.modes["nested"]["references_per_walk"], self.modes["native"]["references_per_walk"])

    def test_it_says_what_it_measured(self):
        for word in ("native", "shadow", "vtlb", "nested", "world switches", "handler of page fault", "deprivileged"):
            self.assertIn(word, self.process.stdout)
        page = (pathlib.Path(self.folder.name) / "report.html").read_text()
        for mode in self.modes.values():
            self.assertIn(f"{mode['cycles']:,}".replace(",", "\u202f"), page)
        self.assertNotIn("<script", page)
        self.assertTrue((pathlib.Path(self.folder.name) / "shadow/report.html").exists())
        stats = json.loads((pathlib.Path(self.folder.name) / "shadow/profile.json").read_text())
        functions = {f["name"] for f in stats["code"]["functions"] if f["hypervisor"]}
        self.assertIn("handle_memory_fault", functions)


class SoftwareFilled(unittest.TestCase):
    """A machine whose TLB software fills has one mode more, in which guests walk nothing."""

    def test_it_is_one_of_the_modes(self):
        process, modes = lab("--set", "translation.scheme=software", "--timing", "inorder", programs="run=walk4k count=2000")
        self.assertEqual(process.returncode, 0, process.stderr)
        self.assertEqual(list(modes), ["native", "shadow", "vtlb", "nested", "software"])
        mode = modes["software"]
        self.assertEqual(set(mode), KEYS)
        self.assertIsNone(mode["references_per_walk"])
        self.assertGreater(mode["exits"]["page_fault"], modes["shadow"]["exits"]["page_fault"])
        self.assertLess(mode["table_bytes"], modes["vtlb"]["table_bytes"])
        self.assertAlmostEqual(sum(mode["cycles_by_cause"].values()) / mode["cycles"], 1, delta=0.01)

    def test_where_it_is_not_the_reason_is_said(self):
        for settings, reason in (([], "translation.scheme=software"),
                                 (["--set", "translation.scheme=software",
                                   "--set", f"include={SOURCE}/configs/cpu/p4-672.yaml"], "VPID")):
            process, modes = lab("--modes", "software,native", *settings, programs="run=echo a")
            self.assertEqual((process.returncode, list(modes)), (0, ["native"]), process.stderr)
            self.assertIn("software is left out: ", process.stdout)
            self.assertIn(reason, process.stdout)


class Errors(unittest.TestCase):
    def test_a_time_limit_ends_one_mode_and_the_others_go_on(self):
        # The hypervisor measures its clocks for 20 ms: at this limit its guest has only begun.
        process, modes = lab("--modes", "native,shadow,nested", "--max-cycles", "70000000", "--timing", "inorder",
                             programs="run=echo a")
        self.assertEqual(process.returncode, 1, process.stderr)
        self.assertEqual([mode["guest_exit"] for mode in modes.values()], [0, 3, 3])
        self.assertIn("shadow failed: the limit of 70000000 cycles was reached", process.stdout)
        for mode in modes.values():
            self.assertEqual(sum(mode["cycles_by_cause"].values()), mode["cycles"])
        self.assertIsNone(modes["shadow"]["overhead"])

    def test_a_64_bit_kernel_in_user_state_ends_as_on_a_32_bit_processor(self):
        process, modes = lab("--set", f"include={SOURCE}/configs/cpu/p4-northwood.yaml", programs="run=echo a")
        self.assertEqual(process.returncode, 1, process.stderr)
        self.assertIn("native failed: triple fault", process.stdout)
        self.assertIn("deprivileged failed: the hypervisor gave up: guest: FAILED: triple fault", process.stdout)
        self.assertEqual(modes["deprivileged"]["exits"]["shutdown"], 1)

    def test_what_no_mode_can_begin_with_is_said_once(self):
        for setting, what in (("guest.kernel=/nowhere", "/nowhere: cannot be read"),
                              ("vmm.guest_memory=384MiB", "the mode nested: "),
                              ("vmm.guest_memory=1MiB", "the mode native: ")):
            process, modes = lab("--set", setting)
            self.assertEqual((process.returncode, modes), (2, {}), process.stderr)
            self.assertEqual(process.stderr.count("\n"), 1, process.stderr)
            self.assertIn(what, process.stderr)

    def test_a_failing_mode_is_named(self):
        process, modes = lab("--modes", "native,nested", programs="run=panic")
        self.assertEqual(process.returncode, 1, process.stderr)
        self.assertIn("the mode native failed", process.stderr)
        self.assertIn("the mode nested failed", process.stderr)
        self.assertEqual({mode["guest_exit"] for mode in modes.values()}, {1})

    def test_a_processor_that_cannot_is_told_from_one_that_can(self):
        process, modes = lab("--set", f"include={SOURCE}/configs/cpu/merom.yaml", "--modes", "native,nested",
                             programs="run=echo a")
        self.assertEqual(process.returncode, 0, process.stderr)
        self.assertEqual(list(modes), ["native"])
        self.assertIn("nested is left out: the processor has no second stage", process.stdout)

    def test_bad_usage(self):
        for arguments in ((), (EXPERIMENT, "--modes", "fast"), (EXPERIMENT, "--jobs", "0"), ("nowhere.yaml",),
                          (EXPERIMENT, "--modes", "software"), (EXPERIMENT, "--set", "vmm.paging=fast"), (EXPERIMENT, "--set", "guest.kernel=")):
            with self.subTest(arguments=arguments):
                process, modes = compare(*arguments)
                self.assertEqual(process.returncode, 2, process.stderr)
                self.assertEqual(modes, {})


if __name__ == "__main__":
    main()
