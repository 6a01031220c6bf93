"""Hostile input: whatever the files and arguments hold, the command ends with status 2 and says what is wrong."""

import os
import pathlib
import struct
import tempfile
import unittest

import bunshin_process
from bunshin_process import GUESTS, PACKAGES, SOURCE, command, run

CONFIG = SOURCE / "configs/experiment/multiboot.yaml"


def elf64(program_header_offset=64, count=1, entry=0x100000, machine=62, headers=b""):
    """An ELF header by the System V ABI, chapter 4, and whatever follows it."""
    identification = b"\x7fELF\x02\x01\x01" + bytes(9)
    return identification + struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, entry, program_header_offset, 0, 0, 64, 56, count,
                                        0, 0, 0) + headers


def segment(offset=0, address=0x100000, file_size=0x100, memory_size=0x100, kind=1):
    return struct.pack("<IIQQQQQQ", kind, 7, offset, address, address, file_size, memory_size, 4096)


def multiboot(flags=0x10000, fields=(0, 0, 0, 0, 0)):
    return struct.pack("<III", 0x1BADB002, flags, (-0x1BADB002 - flags) & 0xFFFFFFFF) + struct.pack("<5I", *fields)


FAR = 0xFFFF_FFFF_FFFF_F000
KERNELS = {
    "empty": b"",
    "one byte": b"\x7f",
    "zeros": bytes(8192),
    "text": b"#!/bin/sh\nexit 0\n" * 100,
    "gzip": b"\x1f\x8b\x08" + bytes(500),
    "ELF magic only": b"\x7fELF",
    "ELF header cut short": elf64()[:40],
    "ELF without segments": elf64(count=0),
    "ELF for another machine": elf64(machine=183, headers=segment()),
    "program headers beyond the file": elf64(program_header_offset=1 << 40),
    "program headers at the end of addresses": elf64(program_header_offset=FAR, count=65535),
    "65535 program headers": elf64(count=65535, headers=segment()),
    "segment beyond the file": elf64(headers=segment(offset=1 << 40)),
    "segment offset that wraps": elf64(headers=segment(offset=FAR, file_size=0x2000, memory_size=0x2000)),
    "segment of 2^64 bytes": elf64(headers=segment(file_size=2**64 - 1, memory_size=2**64 - 1)),
    "segment larger than memory": elf64(headers=segment(file_size=0, memory_size=1 << 40)),
    "segment beyond memory": elf64(headers=segment(address=1 << 45) + bytes(0x200)),
    "segment over the firmware's tables": elf64(headers=segment(address=FAR) + bytes(0x200)),
    "segment smaller in memory than in the file": elf64(headers=segment(memory_size=1) + bytes(0x200)),
    "entry outside every segment": elf64(entry=0xDEAD_0000_0000, headers=segment() + bytes(0x200)),
    "Multiboot header before its image": multiboot(fields=(0, 0x100000, 0, 0, 0)),
    "Multiboot end before its begin": multiboot(fields=(0x200000, 0x200000, 0x1000, 0, 0)),
    "Multiboot image beyond memory": multiboot(fields=(0xFFFFFFF0, 0xFFFFFFF0, 0, 0, 0)),
    "Multiboot that requires the impossible": multiboot(flags=0xFFFF),
    "Multiboot with a bad header and no ELF": multiboot(flags=3),
}

CONFIGS = {
    "empty": "",
    "not YAML": "machine: [",
    "tabs": "machine:\n\tcores: 1\n",
    "a list": "- machine\n- guest\n",
    "binary": "\x00\x01\x02\x03",
    "unknown group": "machin:\n  cores: 1\n",
    "unknown key": "machine:\n  coers: 1\n",
    "wrong type": "machine:\n  cores: many\n",
    "a group where a number belongs": "machine:\n  cores: {a: 1}\n",
    "a number where a group belongs": "machine: 4\n",
    "no cores": "machine:\n  cores: 0\n",
    "too many cores": "machine:\n  cores: 17\n",
    "a negative number": "machine:\n  cores: -1\n",
    "a number that does not fit": "machine:\n  memory: 99999999999999999999999\n",
    "memory that is no number of pages": "machine:\n  memory: 67108865\n",
    "an unknown unit": "machine:\n  memory: 64parsec\n",
    "an unknown choice": "machine:\n  timing: fast\n",
    "the same key twice": "machine:\n  cores: 1\n  cores: 2\n",
    "an include that is missing": "include: [nowhere.yaml]\n",
    "an include of itself": "include: [config.yaml]\n",
    "an include of a directory": "include: [.]\n",
    "an unknown feature": "cpu:\n  features: [fpu, telepathy]\n",
    "deep nesting": "machine: " + "{a: " * 2000 + "1" + "}" * 2000 + "\n",
    "aliases of aliases": "a: &a [x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 8)}]\n" for i in range(9)),
}

ARGUMENTS = [
    (), ("fly",), ("run",), ("run", "nowhere.yaml"), ("run", "/"), ("run", str(CONFIG)),
    ("run", str(CONFIG), "--set"), ("run", str(CONFIG), "--set", "nonsense"), ("run", str(CONFIG), "--set", "=1"),
    ("run", str(CONFIG), "--set", "machine.cores="), ("run", str(CONFIG), "--set", "machine..cores=1"),
    ("run", str(CONFIG), "--max-cycles", "many"), ("run", str(CONFIG), "--max-cycles", "-1"),
    ("run", str(CONFIG), "--timing", "magic"), ("run", str(CONFIG), "--fast"), ("run", str(CONFIG), "--gdb", "70000"),
    ("run", str(CONFIG), "--trace-from", "0"), ("run", str(CONFIG), "two", "configurations"),
    ("disasm",), ("disasm", "/nowhere"), ("disasm", str(CONFIG), "--bits", "8"), ("config", "--nothing"),
]


class Hostile(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)

    def file(self, contents, name="file"):
        path = pathlib.Path(self.directory.name) / name
        path.write_bytes(contents)
        return path

    def refused(self, end, *words):
        self.assertEqual(end.status, 2, end)
        self.assertTrue(end.messages.startswith("bunshin: "), end)
        for word in words:
            self.assertIn(word, end.messages)

    def boot(self, settings, config="multiboot.yaml"):
        return run(config, {"machine.memory": "64MiB", **settings}, ("--quiet", "--max-cycles", 1_000_000))


class Kernels(Hostile):
    def test_damaged_kernels(self):
        for name, contents in KERNELS.items():
            with self.subTest(name):
                self.refused(self.boot({"guest.kernel": self.file(contents, "kernel")}), "kernel")

    def test_each_loader_refuses_them(self):
        for loader in ("linux", "multiboot", "multiboot2", "pvh", "elf"):
            for name in ("empty", "zeros", "ELF magic only", "65535 program headers", "segment of 2^64 bytes"):
                with self.subTest(loader=loader, kernel=name):
                    path = self.file(KERNELS[name], "kernel")
                    self.refused(self.boot({"guest.kernel": path, "guest.loader": loader}), "kernel")

    def test_every_length_of_a_kernels_head(self):
        whole = (GUESTS / "hello").read_bytes()
        for length in list(range(0, 256, 7)) + [1024, 4095, 4096, 4100]:
            with self.subTest(length=length):
                self.refused(self.boot({"guest.kernel": self.file(whole[:length], "kernel")}), "kernel")

    def test_truncated_linux(self):
        kernel = PACKAGES / "vmlinuz-cloud"
        if not kernel.exists():
            self.skipTest("Debian's kernel has not been fetched")
        whole = kernel.read_bytes()
        for length in (511, 512, 0x1F1, 0x202, 0x260, 1024, 8192, 100_000, len(whole) // 2, len(whole) - 65536):
            with self.subTest(length=length):
                self.refused(self.boot({"guest.kernel": self.file(whole[:length], "kernel")}, "linux.yaml"), "kernel")

    def test_missing_and_strange_files(self):
        for name in ("/nowhere", "/", "/dev/null", ""):
            with self.subTest(name):
                self.refused(self.boot({"guest.kernel": name}))

    def test_module_larger_than_memory(self):
        module = self.file(b"", "module")
        os.truncate(module, 1 << 32)
        self.refused(self.boot({"guest.kernel": GUESTS / "hello", "guest.initrd": module}), "module")

    def test_missing_module(self):
        self.refused(self.boot({"guest.kernel": GUESTS / "hello", "guest.initrd": "/nowhere"}), "nowhere")

    def test_command_line_longer_than_the_kernel_takes(self):
        kernel = PACKAGES / "vmlinuz-cloud"
        if not kernel.exists():
            self.skipTest("Debian's kernel has not been fetched")
        config = self.file(f"include: [{SOURCE}/configs/experiment/linux.yaml]\nguest:\n  kernel: {kernel}\n"
                           f"  cmdline: {'x' * (1 << 20)}\n".encode(), "config.yaml")
        self.refused(run(config, options=("--max-cycles", 1_000_000)), "guest.cmdline")


class Disks(Hostile):
    def test_missing_and_strange_images(self):
        for name in ("/nowhere", "/", str(self.file(b"", "empty"))):
            with self.subTest(name):
                self.refused(self.boot({"guest.kernel": GUESTS / "hello", "guest.disks": name}), name)


class Configurations(Hostile):
    def test_damaged_configurations(self):
        for name, text in CONFIGS.items():
            with self.subTest(name):
                self.refused(run(self.file(text.encode(), "config.yaml")))

    def test_messages_say_where_and_what_instead(self):
        end = run(self.file(b"machine:\n  coers: 1\n", "config.yaml"))
        self.refused(end, "config.yaml:2", "coers", "cores")

    def test_reference_cycle(self):
        self.file(b"include: [b.yaml]\n", "a.yaml")
        self.file(b"include: [a.yaml]\n", "b.yaml")
        self.refused(run(pathlib.Path(self.directory.name) / "a.yaml"), "a.yaml")


class CommandLine(Hostile):
    def test_bad_usage(self):
        for arguments in ARGUMENTS:
            with self.subTest(" ".join(arguments)):
                self.refused(command(*arguments))

    def test_help_is_no_mistake(self):
        self.assertEqual(command("--help").status, 0)
        self.assertEqual(command("run", "--help").status, 0)


if __name__ == "__main__":
    bunshin_process.main()
