#!/usr/bin/env python3
"""docs/virtualization_checks.md: every rule of an entry, every exit and every invalidation, each with the fact of the guests `vmx`
and `svm` that shows it, by running them with --exit-trace.

    tools/virtualization_table.py [--check] [BUNSHIN] [GUESTS]

Writes the page; with --check says how it differs, with status 1. Fails if something is shown by no fact and not in ABSENT."""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parents[1]
PAGE = SOURCE / "docs/virtualization_checks.md"
GUESTS = {"vmx": ("VT-x", ("generic", "p4-672", "nehalem", "skylake")),
          "svm": ("AMD-V", ("generic-amd", "barcelona", "zen3"))}
# Files of rules, and the list that each belongs to.
RULES = {"vmx": {"control_checks": "controls", "host_checks": "host state", "guest_checks": "guest state",
                 "guest_segment_checks": "guest state"},
         "svm": {"consistency": "guest state"}}
# Where rules stand that are in no list, as what they look at is in memory.
RULE_HEADERS = {"vmx": "entry_checks.h", "svm": "consistency.h"}
EXITS = {"vmx": "exit_reasons", "svm": "exit_codes"}
# Groups of facts about what is forgotten, and what is not.
INVALIDATIONS = {"vmx": ("invept and invvpid", "invvpid", "invept", "entry", "invalidation in the guest"),
                 "svm": ("tlb_control", "invlpga", "asid", "invalidation in the guest")}
LISTS = {7: "controls", 8: "host state"}  # by the instruction's error

NO_SMM = "no system-management mode: SMIs, RSM and the dual-monitor treatment do not exist"
NO_FEATURE = "no profile has the feature: the instruction is undefined, its control is reserved"
NO_VECTOR = "nothing raises the vector"
NO_REGISTER = "the register does not exist: #UD comes first"
NO_AVIC = "no profile claims AVIC"
NO_SEV = "only with SEV-ES, which no profile claims"
# What no guest can show, and why: patterns of names and rules.
ABSENT = {
    "vmx": (
        (r"Outside SMM, entry to SMM.*", "both controls are reserved in every profile, and that rule comes first"),
        (r"io_smi|other_smi|rsm", NO_SMM),
        (r"getsec", "no profile has SMX: GETSEC is undefined"),
        (r"encl[sv]|xsaves|xrstors|pconfig|umwait|tpause|loadiwkey|enqcmds?|bus_lock|notify|sub_page_permission",
         NO_FEATURE),
        (r"exception_(9|15|2[2-9]|3[01])", NO_VECTOR),
        (r"exception_cp", "no profile has CET"),
        (r"exception_mc|entry_failure_machine_check", "the simulated machine has no machine checks"),
        (r"unknown", "stands for codes that are in no manual"),
    ),
    "svm": (
        (r"long mode is asked for and not there",
         "every profile with AMD-V has long mode; `tests/core/virt/svm_tables_test.cpp` has one without"),
        (r"(read|write)_cr(1|5|6|7|9|1\d)", NO_REGISTER),
        (r"(read|write)_dr(8|9|1\d)", NO_REGISTER),
        (r"exception_nmi_vector", "NMIs have an intercept of their own"),
        (r"exception_(9|15|20|2[2-7]|31)", NO_VECTOR),
        (r"exception_(cp|hv|vc)", "no profile has CET or SEV"),
        (r"exception_mc", "the simulated machine has no machine checks"),
        (r"smi|rsm", NO_SMM),
        (r"rdpru|mcommit|invlpgb|invlpgb_illegal|tlbsync", "no profile has the feature: the instruction is undefined"),
        (r"(efer|cr\d+)_write_trap|vmgexit", NO_SEV),
        (r"avic_\w+", NO_AVIC),
        (r"unknown", "stands for codes that are in no manual"),
    ),
}


def facts_of(bunshin, guests, guest, profile, processors):
    """Pairs of a name or rule and the fact that shows it, in the order of the run."""
    with tempfile.TemporaryDirectory() as out:
        process = subprocess.run(
            [bunshin, "run", SOURCE / "configs/experiment/multiboot.yaml", "--out", out, "--exit-trace", "-",
             "--set", f"include={SOURCE / 'configs/cpu' / profile}.yaml", "--set", f"guest.kernel={guests / guest}",
             "--set", "machine.memory=64MiB", "--set", f"machine.cores={processors}"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False)
    if process.returncode != 0:
        raise SystemExit(f"virtualization_table: {guest} on {profile} failed:\n{process.stderr}\n{process.stdout[-2000:]}")
    pairs, refused, exited = [], [], []
    since = None  # facts since an exit was told of; nothing is known of what comes before the first
    text = ""     # of a line that is not complete: events come in its middle
    for event, part in re.findall(r'(\{"cycle":[^\n]*\}\n)|((?:(?!\{"cycle":).)*\n?)', process.stdout):
        if event:
            event = json.loads(event)
            if event["name"] == "vm_instruction_error":
                refused.append((LISTS[event["reason"]], event["broken_rule"]))
                continue
            # An exit is told of when a guest is entered again: the first fact since the exit before is its own.
            keys = [("exits", event["name"])]
            if "broken_rule" in event:
                keys.append(("guest state", event["broken_rule"]))
            if since:
                pairs += [(key, since[0]) for key in keys]
            elif since is not None:
                exited += keys
            since = []
            continue
        text += part
        if not text.endswith("\n"):
            continue
        if text.endswith(": ok\n"):
            fact = text[:-len(": ok\n")]
            if fact.split(":")[0] in INVALIDATIONS[guest]:
                pairs.append((("invalidation", fact), fact))
            pairs += [(key, fact) for key in refused + exited]
            if not refused and since is not None:
                since.append(fact)
            refused, exited = [], []
        text = ""
    return pairs


def known(guest):
    """What the sources have: for each list its rules or names."""
    directory = SOURCE / "core/virt" / guest
    row = re.compile(r'^    \{"([^"]+)",', re.MULTILINE)
    lists = {}
    for name, heading in RULES[guest].items():
        lists.setdefault(heading, []).extend(row.findall((directory / f"{name}.cpp").read_text()))
    header = (directory / RULE_HEADERS[guest]).read_text()
    lists["guest state"] += re.findall(r'std::string_view \w+_rule = "([^"]+)"', header)
    lists["exits"] = re.findall(r'^    \{[^"]*, "(\w+)"', (directory / f"{EXITS[guest]}.cpp").read_text(), re.MULTILINE)
    return lists


def shown(bunshin, guests, guest):
    """What is shown, each by its first fact."""
    found = {}
    for profile in GUESTS[guest][1]:
        for key, fact in facts_of(bunshin, guests, guest, profile, 1):
            found.setdefault(key, fact)
    if guest == "vmx":
        for key, fact in facts_of(bunshin, guests, guest, "generic", 2):
            found.setdefault(key, f"{fact} (two processors)")
    return found


def rows(guest, heading, names, found, missing):
    for name in names:
        fact = found.get((heading, name))
        reasons = [why for pattern, why in ABSENT[guest] if re.fullmatch(pattern, name)]
        if fact and reasons:
            missing.append(f"{guest}: '{name}' is shown by '{fact}', and need not be in ABSENT")
        if not fact and not reasons:
            missing.append(f"{guest}: '{name}' ({heading}) is shown by no fact")
        yield f"| {name} | {f'`{fact}`' if fact else ' '.join(reasons)} |"


def page(bunshin, guests):
    missing = []
    lines = ["# What the bare-metal tests of virtualization show", "",
             "Written by `tools/virtualization_table.py`, which runs `guests/conformance_vmx/` and `guests/conformance_svm/` with",
             "`--exit-trace` and finds for every rule of an entry the fact whose entry broke it, for every exit a fact that had it.",
             "`tests/system/virtualization_test.py` holds this page to what they do. Where there is no fact stands why."]
    for guest, (title, _) in GUESTS.items():
        found = shown(bunshin, guests, guest)
        for heading, names in known(guest).items():
            what = "exits" if heading == "exits" else f"rules of an entry: {heading}"
            lines += ["", f"## {title}, {what}", "", "| | fact |", "| --- | --- |",
                      *rows(guest, heading, names, found, missing)]
        facts = [fact for heading, fact in found if heading == "invalidation"]
        lines += ["", f"## {title}, invalidation of translations", "", *(f"- `{fact}`" for fact in facts)]
    return "\n".join(lines) + "\n", missing


def main():
    arguments = [a for a in sys.argv[1:] if a != "--check"]
    bunshin = pathlib.Path(arguments[0] if arguments else SOURCE / "build/release/bunshin")
    guests = pathlib.Path(arguments[1] if len(arguments) > 1 else bunshin.parent / "guests")
    text, missing = page(bunshin, guests)
    for line in missing:
        print(f"virtualization_table: {line}", file=sys.stderr)
    if "--check" in sys.argv:
        if not PAGE.exists() or PAGE.read_text() != text:
            print(f"virtualization_table: {PAGE} is not current; run tools/virtualization_table.py", file=sys.stderr)
            return 1
    else:
        PAGE.write_text(text)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
