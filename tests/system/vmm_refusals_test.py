#!/usr/bin/env python3
"""What the hypervisor cannot be given: bad configurations and images end with status 2 and one message that names them."""

import pathlib
import re
import subprocess
import tempfile
import unittest

from bunshin_process import BUNSHIN, GUESTS, SOURCE, main

EXPERIMENT = SOURCE / "configs/experiment/lab.yaml"
LAB = f"guest.kernel={GUESTS / 'lab'}"
#: Settings, and what the message says.
CONFIGURATIONS = (
    (["guest.kernel=/nowhere"], "/nowhere: cannot be read"),
    (["guest.kernel="], "guest.kernel: is not set"),
    ([LAB, "guest.initrd=/nowhere"], "/nowhere: cannot be read"),
    ([LAB, "guest.disks=[/nowhere]"], "/nowhere: cannot open the disk image"),
    ([LAB, "vmm.image=/nowhere"], "/nowhere: cannot be read"),
    ([LAB, LAB.replace("guest.kernel", "vmm.image")], "lab is not the hypervisor"),
    ([LAB, "vmm.guest_memory=4KiB"], "vmm.guest_memory: must be 1MiB or more"),
    ([LAB, "vmm.guest_memory=1TiB"], "vmm.guest_memory: leaves the hypervisor nothing"),
    ([LAB, "vmm.guest_memory=3000001"], "vmm.guest_memory: must be a multiple of 4KiB"),
    ([LAB, "vmm.paging=fast"], "vmm.paging: 'fast' is not one of"),
    ([LAB, "vmm.paging=software"], "'software' is not possible: the hardware fills the TLB"),
    ([LAB, f"include={SOURCE}/configs/cpu/merom.yaml"], "'nested' is not possible: the processor has no second stage"),
    ([LAB, f"include={SOURCE}/configs/cpu/p4-northwood.yaml"], "'nested' is not possible: guests run in user state"),
    ([LAB, "vmm.nested_page=3M"], "vmm.nested_page: '3M' is not one of"),
    ([LAB, "vmm.slice=0"], "vmm.slice: 0 is out of range: 100 us to"),
    ([LAB, "guest.cmdline=a\nb"], "guest.cmdline: must be one line"),
    ([LAB, "vmm.guests=5"], "vmm.guests: expected a list of groups"),
    ([LAB, "vmm.guests=[{name: a}]"], "vmm.guests[0].kernel: is not set"),
    ([LAB, "vmm.guests=[{kernel: k}]"], "vmm.guests[0].name: a guest's name has"),
    ([LAB, "vmm.guests=[{name: a, memory: 1MiB, kernel: k}, {name: a, memory: 1MiB, kernel: k}]"], "there are two guests called 'a'"),
    ([LAB, f"vmm.guests=[{','.join(f'{{name: g{i}, kernel: k}}' for i in range(129))}]"], "at most 128 guests"),
    ([LAB, "vmm.guests=[{name: a, kernel: k, memory: 2TiB}]"], "vmm.guests[0].memory: "),
)


def images():
    """Name, bytes, and what the hypervisor finds wrong with them."""
    lab = bytearray((GUESTS / "lab").read_bytes())
    yield "empty", b"", "is empty"
    yield "text", b"no kernel\n" * 1000, "its kernel is neither Linux nor Multiboot"
    yield "cut", lab[:3000], "its kernel is neither Linux nor Multiboot"
    headers = int.from_bytes(lab[28:32], "little")  # e_phoff
    for name, at, value, why in (("headers", 28, 0xfffffff0, "its ELF program headers are cut off"),
                                 ("segment", headers + 16, 0xffffffff, "its kernel is shorter than its ELF header says"),
                                 ("high", headers + 12, 0x7fff0000, "its memory does not hold the kernel")):
        image = bytearray(lab)
        image[at:at + 4] = value.to_bytes(4, "little")
        yield name, image, why


def bunshin(command, *settings):
    arguments = [word for setting in settings for word in ("--set", setting)]
    return subprocess.run([BUNSHIN, command, EXPERIMENT, "--timing", "none", *arguments], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, check=False)


class Refusals(unittest.TestCase):
    def assert_refused(self, process, why):
        self.assertEqual(process.returncode, 2, process.stderr)
        messages = [text for text in re.split("^bunshin: ", process.stderr, flags=re.MULTILINE)[1:] if "entered at" not in text]
        self.assertEqual(len(messages), 1, process.stderr)
        self.assertIn(why, messages[0])
        self.assertLess(len(messages[0]), 400)

    def test_configurations(self):
        for settings, why in CONFIGURATIONS:
            with self.subTest(settings[-1][:60]):
                self.assert_refused(bunshin("run", "vmm.binding=bare", *settings), why)
                if "vmm.image" not in settings[-1]:
                    self.assert_refused(bunshin("run", "vmm.binding=hosted", *settings), why)

    def test_images(self):
        with tempfile.TemporaryDirectory() as directory:
            for name, content, why in images():
                path = pathlib.Path(directory) / name
                path.write_bytes(content)
                for binding in ("bare", "hosted"):
                    with self.subTest(name, binding=binding):
                        process = bunshin("run", f"vmm.binding={binding}", f"guest.kernel={path}")
                        self.assert_refused(process, why)
                        self.assertIn(str(path), process.stderr)
                with self.subTest(name, command="compare"):
                    process = bunshin("compare", f"guest.kernel={path}")
                    self.assertEqual(process.returncode, 2, process.stderr)
                    self.assertIn(why if name == "empty" else str(path), process.stderr)

    def test_a_directory_is_no_file(self):
        for key in ("guest.kernel", "guest.initrd", "vmm.image"):
            settings = [LAB, f"{key}={SOURCE}"]
            self.assert_refused(bunshin("run", "vmm.binding=bare", *settings), "is a directory")

    def test_a_file_larger_than_the_machine_is_not_read(self):
        with tempfile.NamedTemporaryFile() as sparse:
            sparse.truncate(1 << 40)
            self.assert_refused(bunshin("run", "vmm.binding=bare", LAB, f"guest.initrd={sparse.name}"), "does not fit into")


if __name__ == "__main__":
    main()
