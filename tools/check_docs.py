#!/usr/bin/env python3
"""Checks that relative links in the project's Markdown files lead to files, and anchors to headings.

Backquoted paths of source files (`core/cpu.h`) count as links too: a reading guide that names a file which has moved is
worse than none. Prints each offence as file:line and exits with 1 if there is one.
"""

import pathlib
import re
import sys

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
SOURCE = re.compile(r"`((?:base|mmu|core|devices|vmm-model|sim|guests|configs|tests|tools|docs)/[\w./-]+\.\w+)`")
HEADING = re.compile(r"^#+\s+(.*)$")
SKIPPED = {"build", ".git", "out"}


def slug(heading):
    """GitHub's anchor of a heading."""
    text = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return text.replace(" ", "-")


def anchors(file):
    return {slug(match.group(1)) for line in file.read_text().splitlines() if (match := HEADING.match(line))}


def check_link(file, target):
    """What is wrong with `target`, a link in `file`; None if nothing is."""
    if re.match(r"^[a-z]+:", target):
        return None
    name, _, anchor = target.partition("#")
    destination = (file.parent / name) if name else file
    if not destination.exists():
        return f"{target}: no such file"
    if anchor and destination.suffix == ".md" and anchor not in anchors(destination):
        return f"{target}: no such heading"
    return None


def offences_in(root, file):
    in_code = False
    for number, line in enumerate(file.read_text().splitlines(), start=1):
        if line.lstrip().startswith("```"):
            in_code = not in_code
        if in_code:
            continue
        for match in LINK.finditer(line):
            problem = check_link(file, match.group(1) or match.group(2))
            if problem:
                yield number, problem
        for match in SOURCE.finditer(line):
            if not (root / match.group(1)).exists():
                yield number, f"{match.group(1)}: no such file"


def offences(root):
    for file in sorted(root.rglob("*.md")):
        path = file.relative_to(root)
        if SKIPPED.isdisjoint(path.parts):
            for number, message in offences_in(root, file):
                yield f"{path.as_posix()}:{number}: {message}"


def main(arguments):
    root = pathlib.Path(arguments[0] if arguments else pathlib.Path(__file__).parent.parent)
    found = list(offences(root))
    print("\n".join(found) if found else "every link leads somewhere")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
