"""The files of --out: a report that parses and has its sections, and figures that agree with stats.json, in every mode."""

import csv
import html.parser
import io
import json
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import bunshin_process
from bunshin_process import BUNSHIN, GUESTS, SOURCE

VOID = {"meta", "br", "link", "img", "hr", "path", "input"}
ALWAYS = ["overview", "events", "console", "configuration", "statistics"]
TIMED = ["cycles", "timeline", "caches", "translation", "spaces", "pages", "code", "memory", "branches"]
CAUSES = ".timing.cycles."


class Page(html.parser.HTMLParser):
    """Checks that elements nest, and collects ids and text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.tags, self.words = [], [], set(), []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        for name, value in attrs:
            if name in ("src", "href") and not value.startswith("#"):
                raise AssertionError(f"the page refers to {value}")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            raise AssertionError(f"</{tag}> closes nothing at {self.getpos()}")

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return "".join(self.words).replace("\u202f", " ")


def run(config, settings, *options, timeout=120):
    out = tempfile.mkdtemp()
    arguments = [BUNSHIN, "run", str(SOURCE / "configs/experiment" / config), "--out", out]
    for key, value in settings.items():
        arguments += ["--set", f"{key}={value}"]
    process = subprocess.run([*arguments, *map(str, options)], stdin=subprocess.DEVNULL, capture_output=True,
                             timeout=timeout, check=False)
    return process, pathlib.Path(out)


class Checks(unittest.TestCase):
    def check(self, out, timed):
        stats = json.loads((out / "stats.json").read_text())
        values = {name: entry["value"] for name, entry in stats.items()}
        page = Page((out / "report.html").read_text())
        self.assertEqual(page.open, [])
        self.assertNotIn("script", page.tags)
        for section in ALWAYS + (TIMED if timed else []):
            self.assertIn(section, page.ids)
        self.assertIn(f"{values['sim.cycles']:,}".replace(",", " "), page.text)
        self.assertIn(f"{values['sim.instructions']:,}".replace(",", " "), page.text)
        self.assertIn(values["sim.state_hash"], page.text)
        rows = list(csv.DictReader(io.StringIO((out / "stats.csv").read_text())))
        self.assertEqual([row["name"] for row in rows], sorted(stats))
        for row in rows:
            self.assertEqual(row["description"], stats[row["name"]]["description"])
            if isinstance(values[row["name"]], int):
                self.assertEqual(int(row["value"]), values[row["name"]])
        self.assertIn("sim\n", (out / "stats.txt").read_text())
        if timed:
            self.check_timed(values, page)
        return values

    def check_timed(self, values, page):
        cores = 0
        while f"core{cores}.timing.instructions" in values:
            core = f"core{cores}"
            causes = {name: v for name, v in values.items() if name.startswith(core + CAUSES)}
            # Every cycle of the core has one cause, and belongs to one privilege level.
            self.assertEqual(sum(causes.values()), values[core + ".cycles"])
            for name, cycles in causes.items():
                cause = name.split(CAUSES)[1]
                parts = [values[f"{core}.timing.{p}.cycles.{cause}"] for p in ("user", "supervisor")]
                self.assertEqual(cycles, sum(parts), name)
            for name in ("instructions", "walks", "walk_references", "walk_cycles", "branches"):
                parts = [values[f"{core}.timing.{p}.{name}"] for p in ("user", "supervisor")]
                self.assertEqual(values[f"{core}.timing.{name}"], sum(parts), name)
            walks = sum(values[f"{core}.timing.walk_references.{i}"] for i in range(1, 26))
            self.assertEqual(walks, values[core + ".timing.walks"])
            cores += 1
        total = sum(v for name, v in values.items() if CAUSES in name and name.count(".") == 3)
        self.assertIn(f"{total:,}".replace(",", " "), page.text)


class Report(Checks):
    def test_every_mode(self):
        for mode in ("none", "inorder", "ooo"):
            with self.subTest(mode):
                process, out = run("multiboot.yaml", {"guest.kernel": GUESTS / "guest_selftest.elf64"}, "--timing", mode)
                self.assertEqual(process.returncode, 0, process.stderr)
                self.check(out, mode != "none")
                shutil.rmtree(out)

    def test_several_cores(self):
        for mode in ("inorder", "ooo"):
            with self.subTest(mode):
                process, out = run("multiboot.yaml", {"guest.kernel": GUESTS / "guest_smp.elf64", "machine.cores": 4},
                                   "--timing", mode)
                self.assertEqual(process.returncode, 0, process.stderr)
                self.check(out, True)
                shutil.rmtree(out)

    def test_the_report_can_be_made_again(self):
        process, out = run("multiboot.yaml", {"guest.kernel": GUESTS / "guest_hello.elf64"}, "--timing", "ooo")
        self.assertEqual(process.returncode, 0, process.stderr)
        before = {name: (out / name).read_bytes() for name in ("report.html", "stats.txt", "stats.csv")}
        for name in before:
            (out / name).unlink()
        self.assertEqual(subprocess.run([BUNSHIN, "report", str(out)], check=False).returncode, 0)
        for name, content in before.items():
            self.assertEqual((out / name).read_bytes(), content, name)
        shutil.rmtree(out)

    def test_what_is_no_report_is_an_error_that_names_the_file(self):
        out = pathlib.Path(tempfile.mkdtemp())
        for content in (None, "", "[]", '{"a": 1}'):
            if content is not None:
                (out / "stats.json").write_text(content)
            process = subprocess.run([BUNSHIN, "report", str(out)], capture_output=True, text=True, check=False)
            self.assertEqual(process.returncode, 2, process.stderr)
            self.assertIn("stats.json", process.stderr)
        shutil.rmtree(out)


if __name__ == "__main__":
    bunshin_process.main()
