#!/usr/bin/env python3
"""A Multiboot guest's modules under the hypervisor are the native ones: their number, bytes, order and strings."""

import pathlib
import re
import tempfile
import unittest

from bunshin_process import GUESTS, SOURCE, main, run

MOST = 32


class Modules(unittest.TestCase):
    def setUp(self):
        # A folder's name may have a blank, as in the native loader.
        directory = tempfile.TemporaryDirectory(prefix="bunshin modules ")
        self.addCleanup(directory.cleanup)
        self.folder = pathlib.Path(directory.name)

    def write(self, name, size):
        path = self.folder / name
        path.write_bytes(bytes((i * 7 + size) % 251 for i in range(size)))
        return path

    def shown(self, binding, settings, cpu="zen3"):
        """What the guest tells of its modules."""
        result = run("lab.yaml", {"include": SOURCE / f"configs/cpu/{cpu}.yaml", "guest.kernel": GUESTS / "platform",
                                  "machine.memory": "64MiB", "vmm.binding": binding, **settings},
                     options=("--max-cycles", 130_000_000), timeout=300)
        line = re.search(rb"boot: modules.*", result.console)
        self.assertIsNotNone(line, result)
        return line[0]

    def test_modules_are_the_native_ones(self):
        files = [self.write("first", 10_001), self.write("second.gz", 4096), self.write("third", 1)]
        initrd = f'["{files[0]} console=hvc0 a=1,2", {files[1]}, "{files[2]} x  y", {files[1]} again]'
        native = self.shown("none", {"guest.initrd": initrd})
        for text in (b"4 length 10001", b'" console=hvc0 a=1,2"', b"length 4096", b'" x  y"', b'" again"'):
            self.assertIn(text, native)
        for binding in ("bare", "hosted"):
            for cpu in ("zen3", "skylake"):
                with self.subTest(binding=binding, cpu=cpu):
                    self.assertEqual(self.shown(binding, {"guest.initrd": initrd}, cpu), native)

    def test_guests_of_a_list_have_modules_of_their_own(self):
        first, second = self.write("first", 5000), self.write("second", 3)
        guests = ", ".join(f"{{name: {name}, kernel: {GUESTS / 'platform'}, memory: 16MiB, limit: 60ms, initrd: {initrd}}}"
                           for name, initrd in (("a", f'["{first} one", {second}]'), ("b", f'"{second} two"')))
        end = run("lab.yaml", {"include": SOURCE / "configs/cpu/zen3.yaml", "machine.memory": "64MiB", "vmm.binding": "bare",
                               "vmm.guests": f"[{guests}]"}, timeout=300)
        lines = re.findall(rb"^(.\| boot: modules.*?)\r?$", end.console, re.MULTILINE)
        self.assertEqual(len(lines), 2, end)
        self.assertRegex(lines[0] + lines[1], rb'a\| .*2 length 5000 .*" one" length 3 .*b\| .*1 length 3 .*" two"')

    def test_as_many_as_there_may_be(self):
        one = self.write("one", 3)
        initrd = "[" + ",".join(f"{one} {i}" for i in range(MOST)) + "]"
        self.assertEqual(self.shown("hosted", {"guest.initrd": initrd}), self.shown("none", {"guest.initrd": initrd}))
        end = run("lab.yaml", {"vmm.binding": "bare", "guest.kernel": GUESTS / "platform",
                               "guest.initrd": f"{initrd[:-1]},{one}]"})
        self.assertEqual(end.status, 2, end)
        self.assertIn("guest.initrd: a guest of the hypervisor has at most 32, not 33", end.messages)

    def test_modules_that_the_guests_memory_does_not_hold_are_refused(self):
        large = self.write("large", 6 << 20)
        end = run("lab.yaml", {"vmm.binding": "hosted", "machine.memory": "64MiB", "vmm.guest_memory": "10MiB",
                               "guest.kernel": GUESTS / "platform", "guest.initrd": f"[{large}, {large} x]"})
        self.assertEqual(end.status, 2, end)
        self.assertIn("its memory does not hold kernel and initrd", end.messages)


if __name__ == "__main__":
    main()
