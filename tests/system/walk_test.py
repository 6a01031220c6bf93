"""`bunshin walk` as its users meet it: statuses, files, figures."""

import itertools
import json
import pathlib
import re
import tempfile
import unittest
import xml.etree.ElementTree

import bunshin_process
from bunshin_process import SOURCE, command

SVG = "{http://www.w3.org/2000/svg}"
PAGES = {"4level": ("4K", "2M", "1G"), "5level": ("4K", "2M", "1G"), "pae": ("4K", "2M"), "32bit": ("4K", "4M"),
         "none": ("4K",)}
LEVELS = {("4level", "4K"): 4, ("4level", "2M"): 3, ("4level", "1G"): 2, ("5level", "4K"): 5, ("5level", "2M"): 4,
          ("5level", "1G"): 3, ("pae", "4K"): 3, ("pae", "2M"): 2, ("32bit", "4K"): 2, ("32bit", "4M"): 1,
          ("none", "4K"): 0}


def walk(*arguments):
    """The JSON of a walk, from standard output."""
    end = command("walk", *arguments, "--json", "-")
    if end.status != 0:
        raise AssertionError(str(end))
    return json.loads(end.console)


def drawn_numbers(svg):
    root = xml.etree.ElementTree.fromstring(svg)
    return [int(e.text) for e in root.iter(f"{SVG}text") if e.get("class", "").split()[0] == "num"]


def drawn_texts(svg):
    return [e.text or "" for e in xml.etree.ElementTree.fromstring(svg).iter(f"{SVG}text")]


class Counts(unittest.TestCase):
    def test_four_on_four_is_twenty_five(self):
        report = walk("--guest", "4level", "--second-stage", "4level", "--guest-page", "4K", "--host-page", "4K",
                      "--caches", "off")
        self.assertEqual((report["references"], report["accesses"], len(report["steps"])), (24, 25, 25))

    def test_five_on_five_is_thirty_six(self):
        report = walk("--guest", "5level", "--second-stage", "5level")
        self.assertEqual((report["references"], report["accesses"]), (35, 36))

    def test_the_formula_holds_where_no_register_is_in_the_way(self):
        stages = [(scheme, page) for scheme, pages in PAGES.items() for page in pages]
        for (guest, guest_page), (host, host_page) in itertools.product(stages, stages):
            if guest == host == "none":
                continue
            with self.subTest(guest=guest, guest_page=guest_page, host=host, host_page=host_page):
                memory = ("--pdptes", "memory") if guest == "pae" else ()
                report = walk("--guest", guest, "--guest-page", guest_page, "--second-stage", host, "--host-page",
                              host_page, *memory)
                n, m = LEVELS[guest, guest_page], LEVELS[host, host_page]
                self.assertEqual(report["references"], (n + 1) * (m + 1) - 1)

    def test_caches_save_references_and_cycles(self):
        off, cold, warm = walk(), walk("--caches", "on", "--warm", 0), walk("--caches", "on")
        self.assertGreater(off["references"], cold["references"])
        self.assertGreater(cold["references"], warm["references"])
        self.assertGreater(off["cycles"], cold["cycles"])
        self.assertGreater(cold["cycles"], warm["cycles"])

    def test_a_profile_changes_the_cycles(self):
        """A reference that hits where the profile's walker enters takes that cache's latency."""
        for profile, cache in (("haswell", "l1d"), ("merom", "l1d"), ("zen2", "l2")):
            file = SOURCE / f"configs/cache/{profile}.yaml"
            pattern = re.compile(rf"^  {cache}:.*?latency: (\d+)", re.DOTALL | re.MULTILINE)
            latency = int(pattern.search(file.read_text()).group(1))
            step = walk(file, "--second-stage", "none", "--caches", "on", "--set",
                        f"caches.walker_entry={cache}")["steps"][0]
            self.assertEqual((step["hit"], step["cycles"]), ("L1" if cache == "l1d" else "L2", latency))

    def test_the_same_walk_again_takes_the_same_cycles(self):
        self.assertEqual(walk("--caches", "on", "--warm", 7), walk("--caches", "on", "--warm", 7))


class Figures(unittest.TestCase):
    def figure(self, *arguments):
        with tempfile.TemporaryDirectory() as directory:
            svg, report = pathlib.Path(directory) / "walk.svg", pathlib.Path(directory) / "walk.json"
            end = command("walk", *arguments, "--svg", svg, "--json", report)
            self.assertEqual(end.status, 0, end)
            return svg.read_text(), json.loads(report.read_text())

    def test_every_reference_is_drawn_once_with_address_hit_and_cycles(self):
        for arguments in ((), ("--guest", "5level", "--second-stage", "5level"), ("--second-stage", "none"),
                          ("--guest", "none"), ("--caches", "on"), ("--guest", "pae", "--host-page", "2M"),
                          ("--guest", "32bit", "--guest-page", "4M", "--second-stage", "32bit", "--host-page", "4M")):
            with self.subTest(arguments):
                svg, report = self.figure(*arguments)
                self.assertEqual(sorted(drawn_numbers(svg)), list(range(1, report["accesses"] + 1)))
                texts = drawn_texts(svg)
                for step in report["steps"]:
                    self.assertIn(step["address"], texts)
                    self.assertIn(f"{step['hit']} · {step['cycles']} cycles", texts)
                self.assertEqual(sum(text == "not read:" for text in texts), len(report["skipped"]))

    def test_boxes_do_not_overlap_and_lie_within(self):
        svg, _ = self.figure("--guest", "5level", "--second-stage", "5level")
        root = xml.etree.ElementTree.fromstring(svg)
        width, height = int(root.get("width")), int(root.get("height"))
        boxes = [tuple(int(e.get(k)) for k in ("x", "y", "width", "height")) for e in root.iter(f"{SVG}rect")
                 if e.get("x") and int(e.get("width")) > 100]
        self.assertEqual(len(boxes), 36)
        for x, y, w, h in boxes:
            self.assertLess(x + w, width)
            self.assertLess(y + h, height)
        for (x, y, w, h), (u, v, _, _) in itertools.permutations(boxes, 2):
            self.assertFalse(x <= u < x + w and y <= v < y + h, (x, y, u, v))

    def test_the_documentations_figures_are_current(self):
        text = (SOURCE / "docs/walk.md").read_text()
        commands = re.findall(r"^    bunshin walk (.*)--svg (docs/figures/\S+\.svg)$", text, re.MULTILINE)
        self.assertGreaterEqual(len(commands), 2)
        for arguments, file in commands:
            with self.subTest(file):
                svg, _ = self.figure(*arguments.split())
                self.assertEqual(svg, (SOURCE / file).read_text(), f"run: bunshin walk {arguments}--svg {file}")


class Table(unittest.TestCase):
    def test_every_gated_row_is_as_published(self):
        end = command("walk", "--table")
        self.assertEqual(end.status, 0, end)
        self.assertNotIn(b"miss", end.console)
        self.assertRegex(end.console, rb"\n0 of 1\d\d gated rows differ\n")

    def test_json_has_every_combination(self):
        table = walk("--table")
        combinations = {(r["guest"], r["second_stage"], r["guest_page"], r["host_page"]) for r in table["rows"]
                        if r["guest"] is not None}
        self.assertEqual(len(combinations), 11 * 11 - 1)
        self.assertEqual(table["misses"], 0)
        for row in table["rows"]:
            if row["measured"] is None:
                self.assertIn("not modeled", row["note"])
            else:
                self.assertEqual(row["difference"], row["measured"] - row["published"])

    def test_published_cases(self):
        rows = {r["case"]: r["measured"] for r in reversed(walk("--table")["rows"]) if r["case"]}
        wanted = {"native, 4 levels": 4, "4 on 4 levels": 24, "2M guest pages": 19, "2M host pages": 19, "2M on 2M": 15,
                  "1G on 1G": 8, "5 on 5 levels": 35, "5 on 4 levels": 29, "PAE on 4 levels": 19,
                  "32-bit on 4 levels": 14, "shadow tables": 4}
        self.assertEqual({case: rows[case] for case in wanted}, wanted)


class Mistakes(unittest.TestCase):
    def refused(self, *arguments):
        end = command("walk", *arguments)
        self.assertEqual(end.status, 2, end)
        self.assertEqual(end.console, b"")
        return end.messages

    def test_bad_combinations(self):
        for arguments, words in ((("--guest", "pae", "--guest-page", "1G"), "4K or 2M"),
                                 (("--host-page", "4M"), "4K, 2M or 1G"),
                                 (("--guest", "none", "--second-stage", "none"), "nothing to walk"),
                                 (("--guest", "3level"), "4level, 5level"),
                                 (("--caches", "perhaps"), "on or off"),
                                 (("--table", "--svg", "x.svg"), "--svg"),
                                 (("--nonsense",), "unrecognised option"),
                                 (("--set", "caches.l1d.ways=0"), "caches.l1d.ways"),
                                 (("no/such/file.yaml",), "no/such/file.yaml")):
            with self.subTest(arguments):
                self.assertIn(words, self.refused(*arguments))

    def test_files_that_cannot_be_written(self):
        for option in ("--json", "--svg"):
            self.assertIn("/dev/full: cannot be written: No space left", self.refused(option, "/dev/full"))
            self.assertIn("No such file", self.refused(option, "/no/such/directory/file"))


if __name__ == "__main__":
    bunshin_process.main()
