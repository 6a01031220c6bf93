#!/usr/bin/env python3
"""Writes the tables of docs/profiles.md from the processor profiles in configs/cpu and the fragments they include.

A comment in a profile holds for the parameters below it, up to the next comment or the end of its group; one that says
"estimate" makes them estimates. Without arguments the page is rewritten; --check exits with 1 if it is not current, or if a
parameter has no source.
"""

import pathlib
import re
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/profiles.md"
BEGIN, END = "<!-- begin: tools/profile_table.py -->\n", "<!-- end -->\n"
NAMES = ["p4-northwood", "p4-672", "merom", "penryn", "nehalem", "westmere", "sandy-bridge", "haswell", "skylake",
         "barcelona", "zen2", "zen3"]
KEY = re.compile(r"^( *)([\w-]+):(?: (.*))?$")


class Parameter:
    def __init__(self, value, source):
        self.value = value
        self.source = source
        self.estimate = "estimate" in source.lower()

    def marked(self):
        return self.value + ("\\*" if self.estimate else "")


def members(text):
    """`{entries: 64, ways: 4}` as pairs."""
    return [tuple(part.strip() for part in item.split(":", 1)) for item in text[1:-1].split(",")]


class Reader:
    """The part of YAML that the fragments are written in, with the comments."""

    def __init__(self):
        self.parameters = {}
        self.sources = {}
        self.path = {}
        self.comment = None

    def source(self, indent):
        known = [i for i in self.sources if i <= indent]
        return self.sources[max(known)] if known else ""

    def add(self, keys, value, indent):
        self.parameters[".".join(keys)] = Parameter(value.strip('"'), self.source(indent))

    def add_to_list(self, item, indent):
        keys = [self.path[i] for i in sorted(self.path) if i < indent]
        name = ".".join(keys)
        if name not in self.parameters:
            self.add(keys, item, indent)
        else:
            self.parameters[name].value += " " + item

    def line(self, line):
        stripped = line.strip()
        indent = len(line) - len(line.lstrip())
        if stripped.startswith("#"):
            text = stripped[1:].strip()
            if self.comment == indent:
                self.sources[indent] += " " + text
            else:
                self.sources = {i: s for i, s in self.sources.items() if i < indent}
                self.sources[indent] = text
                self.comment = indent
            return
        self.comment = None
        if not stripped:
            return
        if stripped.startswith("- "):
            self.add_to_list(stripped[2:], indent)
            return
        match = KEY.match(line)
        if not match:
            raise ValueError(f"cannot read: {line}")
        self.sources = {i: s for i, s in self.sources.items() if i <= indent}
        self.path = {i: k for i, k in self.path.items() if i < indent}
        self.path[indent] = match.group(2)
        keys = [self.path[i] for i in sorted(self.path)]
        value = match.group(3)
        if value is None:
            return
        if value.startswith("{"):
            for key, part in members(value):
                self.add(keys + [key], part, indent)
        else:
            self.add(keys, value, indent)


def read(file):
    """All parameters of a fragment and of what it includes, by dotted key."""
    reader = Reader()
    for line in file.read_text().splitlines():
        reader.line(line)
    own = reader.parameters
    include = own.pop("include", None)
    result = {}
    for part in include.value.strip("[]").split(",") if include else []:
        # What a hosted hypervisor's computing takes is measured, and no parameter of the processor.
        if "/vmm/" not in part:
            result.update(read((file.parent / part.strip()).resolve()))
    result.update(own)
    return result


def profile(name):
    return read(ROOT / "configs/cpu" / f"{name}.yaml")


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n\n"


def geometry(p, key):
    """`64/4`: entries and ways, or `-`."""
    entries = p[key + ".entries"]
    if entries.value == "0":
        return "-"
    return f"{entries.value}/{p[key + '.ways'].value}" + ("\\*" if entries.estimate else "")


def cache(p, key):
    size = p[key + ".size"]
    if size.value == "0":
        return "-"
    return f"{size.marked()}/{p[key + '.ways'].value}, {p[key + '.latency'].marked()}"


def identity(name, p):
    value = lambda key: p["cpu." + key].value
    features = value("features").split()
    notable = [f for f in ("lm", "nx", "pdpe1gb", "pcid", "sse4_1", "avx", "avx2", "fma", "smap", "la57") if f in features]
    return [f"`{name}`", value("brand"), f"{value('family')}/{value('model')}/{value('stepping')}", value("frequency"),
            f"{value('physical_bits')}/{48 if 'lm' in features else 32}", " ".join(notable) or "-"]


def translation(name, p):
    sizes = ("small", "large", "giant")
    level = lambda prefix: " ".join(geometry(p, f"tlb.{prefix}{size}") for size in sizes)
    structure = lambda *keys: " ".join(p["structure_caches." + key].value for key in keys)
    by_entry = structure("kind") == "entry"
    caches = structure("entries") + " of any level" if by_entry else structure("pml4", "pdpt", "pd")
    estimate = p["structure_caches.entries" if by_entry else "structure_caches.pd"].estimate
    walkers = p["tlb.walkers"].marked() if "tlb.walkers" in p else "1"
    return [f"`{name}`", level("l1d."), level("l1i."), level(""), p["tlb.latency"].marked(),
            caches + ("\\*" if estimate else ""), walkers]


def memory(name, p):
    dram = ["caches.dram." + key for key in ("rcd", "cas", "burst", "controller")]
    nanoseconds = sum(int(p[key].value) for key in dram) / 1000
    return [f"`{name}`"] + [cache(p, "caches." + level) for level in ("l1i", "l1d", "l2", "l3")] + [f"{nanoseconds:.0f}\\*"]


def core(name, p):
    q = lambda key: p["pipeline." + key].marked()
    return [f"`{name}`", q("width"), q("window"), f"{q('load_queue')}/{q('store_queue')}", q("mispredict_penalty"),
            q("forward_latency"), q("branch.target_entries"), q("branch.return_stack")]


def work(name, p):
    kinds = ("multiply", "divide", "vector_multiply", "float_add", "float_multiply", "float_fma", "float_divide", "x87_add")
    cell = lambda k: p[f"pipeline.classes.{k}.latency"].marked() + "/" + p[f"pipeline.classes.{k}.interval"].value
    fma = "fma" in p["cpu.features"].value.split()
    return [f"`{name}`"] + [cell(k) if fma or k != "float_fma" else "-" for k in kinds]


def overview(profiles):
    rows = lambda make: [make(name, p) for name, p in profiles.items()]
    text = "### Identification\n\n" + table(
        ["profile", "part", "family/model/stepping", "clock", "bits", "features that tell generations apart"], rows(identity))
    text += "### Translation\n\nEntries/ways for pages of 4 KiB, 2 (4) MiB and 1 GiB; `-`: none.\n\n" + table(
        ["profile", "L1 DTLB", "L1 ITLB", "second level", "its latency", "structure caches: PML4E PDPTE PDE", "walkers"],
        rows(translation))
    text += "### Caches and memory\n\nSize/ways, load-to-use cycles; DRAM with its row closed, in ns beyond the last cache.\n\n"
    text += table(["profile", "L1I", "L1D", "L2", "L3", "DRAM"], rows(memory))
    text += "### Pipeline\n\n" + table(
        ["profile", "width", "window", "load/store queue", "mispredict", "forward", "target buffer", "return stack"], rows(core))
    text += "Latency/interval of some kinds of work, in cycles.\n\n" + table(
        ["profile", "multiply", "divide", "vector multiply", "FP add", "FP multiply", "FMA", "FP divide", "x87 add"], rows(work))
    return text


def by_source(p):
    """Runs of parameters with the same source, in the file's order: (keys and values, source)."""
    runs = []
    for key, parameter in p.items():
        if key.startswith("caches."):
            continue
        if not runs or runs[-1][1] != parameter.source or runs[-1][2] != key.split(".")[0]:
            runs.append(([], parameter.source, key.split(".")[0]))
        runs[-1][0].append((key, parameter.value))
    return runs


def cells(pairs):
    """`tlb.small.entries 64, tlb.small.ways 4` with the common beginning said once."""
    if len(pairs) == 1:
        key, value = pairs[0]
        return f"`{key}`: {value}"
    common = pairs[0][0].rsplit(".", 1)[0].split(".")
    for key, _ in pairs:
        parts = key.split(".")
        while common and parts[:len(common)] != common:
            common.pop()
    begin = ".".join(common)
    rest = ", ".join(f"{key[len(begin) + 1:]} {value}" for key, value in pairs)
    return f"`{begin}`: {rest}"


def sources(profiles):
    text = ""
    for name, p in profiles.items():
        text += f"### {name}\n\nCaches and memory: `configs/cache/{name}.yaml`.\n\n"
        text += table(["parameters", "source"], [[cells(pairs), source] for pairs, source, _ in by_source(p)])
    return text


def generated():
    profiles = {name: profile(name) for name in NAMES}
    text = "## The profiles side by side\n\n"
    text += "\n".join(textwrap.wrap("An asterisk: an estimate, or a part of it is one. Everything else has the source that "
                                    "the next section gives.", 120)) + "\n\n"
    return text + overview(profiles) + "## Every parameter with its source\n\n" + sources(profiles)


def unsourced():
    """Parameters of the profiles for which no comment holds."""
    for name in NAMES:
        for key, parameter in profile(name).items():
            if not parameter.source:
                yield f"configs/cpu/{name}.yaml: {key} has no source"


def rewritten(page):
    head, rest = page.split(BEGIN)
    return head + BEGIN + generated() + END + rest.split(END)[1]


def main(arguments):
    problems = list(unsourced())
    page = PAGE.read_text()
    if arguments == ["--check"]:
        if page != rewritten(page):
            problems.append("docs/profiles.md is not current: run tools/profile_table.py")
    else:
        PAGE.write_text(rewritten(page))
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
