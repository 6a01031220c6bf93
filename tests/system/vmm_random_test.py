#!/usr/bin/env python3
"""Random guests beside guests that look after their memory: whatever code, tables, ports and registers one uses, the hypervisor
and the neighbours go on as if it were not there (S2).

    vmm_random_test.py --seeds 1000 --first 7     the long run: that many rounds, a dozen random guests in each
"""

import argparse
import pathlib
import random
import struct
import sys
import tempfile
import unittest

import bunshin_process
from bunshin_process import main
from hypervisor_process import guest, run_hypervisor

PAGING = ("nested", "vtlb", "shadow")
RANDOM_GUESTS = 12
MEMORY = 8 << 20
LOAD, PHRASES, TABLES, IDT, STACK = 0x10_0000, 0x10_1000, 0x20_0000, 0x24_0000, 0x28_0000
PHRASE_BYTES, PHRASE_COUNT = 32, 400
DEBUG_EXIT = 0xf4


def word(value):
    return struct.pack("<I", value & 0xffff_ffff)


def flat_image(code, size=None):
    """A Multiboot kernel whose header says where its bytes go; it begins at LOAD + 32."""
    header = struct.pack("<III", 0x1BADB002, 1 << 16, -(0x1BADB002 + (1 << 16)) & 0xffff_ffff)
    body = header + struct.pack("<IIIII", LOAD, LOAD, 0, 0, LOAD + 32) + code
    return body.ljust(size or len(body), b"\0")


def canary(pattern, turns):
    """Fills its memory, waits, and looks whether all of it is still there: 0 to the debug-exit port, else 1. The pattern waits in XMM7,
    of a guest that knows nothing of XSAVE."""
    first, words = 0x20_0000, (MEMORY - 0x20_0000) // 4
    memory = b"\xbf" + word(first) + b"\xb9" + word(words)
    return flat_image(
        b"\xb8" + word(0x200) + b"\x0f\x22\xe0"                  # MOV CR4, OSFXSR
        + b"\xfc" + memory + b"\xb8" + word(pattern) + b"\x66\x0f\x6e\xf8\xf3\xab"     # MOVD XMM7, EAX; REP STOSD
        + b"\xba" + word(turns) + b"\xf3\x90\x4a\x75\xfb"        # PAUSE; DEC EDX; JNZ
        + memory + b"\x66\x0f\x7e\xf8\xf3\xaf"                 # MOVD EAX, XMM7; REPE SCASD
        + b"\x0f\x95\xc0\x0f\xb6\xc0\xba" + word(DEBUG_EXIT) + b"\xef\xf4\xeb\xfd")


class RandomGuest:
    """Phrases of 32 bytes each. An exception goes on with the next one; so does the end of one."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def address(self):
        pick = self.random
        return pick.choice((
            lambda: pick.randrange(MEMORY), lambda: MEMORY - 8 + pick.randrange(16), lambda: pick.getrandbits(32),
            lambda: TABLES + pick.randrange(0x4000), lambda: 0xfee0_0000 + pick.randrange(0x1000),
            lambda: 0xfec0_0000 + pick.randrange(0x100), lambda: 0xe000_0000 + pick.randrange(1 << 20),
            lambda: 0xa_0000 + pick.randrange(0x2_0000), lambda: 0xfed0_0000 + pick.randrange(0x400),
            lambda: 0x1_0000_0000 - 1 - pick.randrange(64)))()

    def value(self):
        pick = self.random
        return pick.choice((pick.getrandbits(32), pick.getrandbits(8), 1 << pick.randrange(32), 0, 0xffff_ffff, self.address()))

    def table_entry(self):
        pick = self.random
        target = pick.choice((TABLES + 0x1000 * pick.randrange(8), self.address() & ~0xfff, pick.getrandbits(32) & ~0xfff))
        return target | pick.choice((7, 0x67, 0x87, 0x1e7, pick.getrandbits(12)))

    def phrase(self):
        pick = self.random
        load = b"\xb8" + word(self.value())                       # MOV EAX, …
        port = pick.choice((pick.getrandbits(16), pick.randrange(0x400), 0xcf8 + pick.randrange(8), 0x3f8 + pick.randrange(8)))
        ports = b"\xba" + word(port)
        msr = pick.choice((0x1b, 0x277, 0xc000_0080, 0x10, 0x174, 0x2ff, 0x200, 0x6e0, 0xc001_0114, 0xc001_0117, 0x3a, 0x480,
                           0x808, 0x830, 0xc000_0102, pick.getrandbits(32)))
        far = self.address()
        kinds = (
            lambda: load + b"\xa3" + word(far),                    # MOV [far], EAX
            lambda: b"\xa1" + word(far),
            lambda: b"\xbf" + word(far) + b"\xb9" + word(pick.randrange(64)) + load + b"\xf3\xab",
            lambda: b"\xbe" + word(far) + b"\xbf" + word(self.address()) + b"\xb9" + word(pick.randrange(64)) + b"\xf3\xa5",
            lambda: b"\xbf" + word(far) + load + pick.choice((b"\xf0\x0f\xb1\x0f", b"\x87\x07", b"\x0f\xc7\x0f", b"\x0f\xab\x07",
                                                              b"\xff\x37", b"\x8f\x07", b"\x0f\xc1\x07", b"\xd1\x27")),
            # SHLD, DIV, IMUL, SETZ, CALL, JMP, BOUND, CMPXCHG, NOT; MOVUPS, FLDCW, LDMXCSR; strings both ways.
            lambda: b"\xbf" + word(far) + load + pick.choice((
                b"\x0f\xa5\x07", b"\xf7\x37", b"\x0f\xaf\x07", b"\x0f\x94\x07", b"\xff\x17", b"\xff\x27", b"\x62\x07",
                b"\x66\xf0\x0f\xb1\x0f", b"\xf6\x17", b"\x0f\x10\x07", b"\x0f\x11\x0f", b"\xd9\x2f", b"\x0f\xae\x17",
                b"\xd8\x07", b"\x0f\x58\x07", b"\xfd\xaf\xfc", b"\xa7")),
            # The same with the stack there, which the next phrase puts back.
            lambda: b"\x89\xe6\xbc" + word(far) + load + pick.choice((
                b"\x50", b"\x58", b"\x60", b"\x61", b"\x9c", b"\xc8\x08\x00\x02", b"\xc9", b"\xc3", b"\xcf", b"\xe8\0\0\0\0"))
            + b"\x89\xf4",
            lambda: ports + load + pick.choice((b"\xee", b"\xef", b"\x66\xef")),
            lambda: ports + pick.choice((b"\xec", b"\xed", b"\x66\xed")),
            lambda: ports + b"\xbf" + word(far) + b"\xb9" + word(pick.randrange(8)) + b"\xf3\x6d",
            lambda: b"\xb9" + word(msr) + load + b"\xba" + word(self.value()) + b"\x0f\x30",
            lambda: b"\xb9" + word(msr) + b"\x0f\x32",
            lambda: load + b"\x0f\x22" + pick.choice((b"\xc0", b"\xd8", b"\xe0")),
            lambda: b"\xb8" + word(TABLES + 0x1000 * pick.randrange(8)) + b"\x0f\x22\xd8",
            # CR4.PSE and PAE as they come, then paging.
            lambda: b"\xb8" + word(pick.choice((0x10, 0x30, 0))) + b"\x0f\x22\xe0\x0f\x20\xc0\x0d\x00\x00\x00\x80\x0f\x22\xc0",
            lambda: b"\xb8" + word(self.table_entry()) + b"\xa3" + word(TABLES + 4 * pick.randrange(0x2000)),
            lambda: b"\xbf" + word(far) + b"\x0f\x01\x3f",        # INVLPG
            lambda: pick.choice((b"\x0f\x09", b"\x0f\xa2", b"\x0f\x01\xd9", b"\x0f\x01\xd8", b"\x0f\x01\xc1", b"\x0f\x01\xdd",
                                 b"\x0f\x01\xdf", b"\x0f\x33", b"\x0f\x06", b"\x0f\x01\xc8", b"\x0f\x01\xd1", b"\xfb", b"\xfa", b"\xf1",
                                 b"\xcc", b"\x0f\x0b", b"\x9d")),
            lambda: b"\xfb\xf4",                                   # STI; HLT
            lambda: b"\xea" + word(far) + struct.pack("<H", pick.getrandbits(16)),
            lambda: b"\x0f\x00" + pick.choice((b"\xd0", b"\xd8")) if pick.random() < 0.1 else b"\x90",
            lambda: load + b"\x0f\x23" + pick.choice((b"\xc0", b"\xf8", b"\xf0")),
            lambda: b"\xb8" + word(self.value() & 0x4_7fd7) + b"\x50\x9d",
            lambda: bytes(pick.getrandbits(8) for _ in range(20)),
        )
        return pick.choice(kinds)()

    def image(self):
        # The start: IDT of 256 gates to the handler, which counts in EBP and goes on with the phrase of that number.
        code = b"\xfa\xfc\xbc" + word(STACK) + b"\x31\xed"
        handler_at = LOAD + 0x200
        gate = struct.pack("<HHBBH", handler_at & 0xffff, 0x10, 0, 0x8e, handler_at >> 16)
        code += b"\xbf" + word(IDT) + b"\xb9" + word(256)
        code += b"\xc7\x07" + gate[:4] + b"\xc7\x47\x04" + gate[4:] + b"\x83\xc7\x08\x49" + b"\x75\xed"
        code += b"\x0f\x01\x1d" + word(LOAD + 0x180) + b"\xe9" + word(handler_at - (LOAD + 32 + len(code) + 7 + 5))
        image = bytearray(flat_image(code, PHRASES - LOAD))
        image[0x180:0x186] = struct.pack("<HI", 256 * 8 - 1, IDT)
        # MOV ESP, STACK; INC EBP; CMP EBP, count; JAE the end; MOV EAX, EBP; SHL EAX, 5; ADD EAX, PHRASES; JMP EAX.
        image[0x200:0x221] = (b"\xbc" + word(STACK) + b"\x45\x81\xfd" + word(PHRASE_COUNT) + b"\x73\x0c\x89\xe8\xc1\xe0\x05\x05"
                              + word(PHRASES) + b"\xff\xe0" + b"\xfa\xf4\xeb\xfc").ljust(0x21, b"\x90")[:0x21]
        for _ in range(PHRASE_COUNT):
            phrase = self.phrase()[:PHRASE_BYTES - 2]
            image += (phrase + b"\x90" * (PHRASE_BYTES - 2 - len(phrase))) + b"\xcd\x80"   # INT 80H: the next one
        image = image.ljust(TABLES - LOAD, b"\0")
        # The first directory maps the kernel where it is; the rest is random.
        for page in range(8):
            entries = [self.table_entry() if self.random.random() < 0.3 else 0 for _ in range(1024)]
            if page % 2 == 0:
                entries[0:2] = [0x87, 0x40_0087]
            image += b"".join(word(entry) for entry in entries)
        return bytes(image)


class Random(unittest.TestCase):
    def play(self, cpu, seed):
        """One round: random guests in every mode of paging, and three that watch their memory, one in each mode."""
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            configuration, files = "slice = 500us\n", []

            def add(label, image, paging, limit):
                nonlocal configuration
                path = folder / f"{label}.img"
                path.write_bytes(image)
                files.append(path)
                configuration += guest(label, path, memory=f"{MEMORY >> 20}M", paging=paging, limit=limit)
            for index, paging in enumerate(PAGING):
                add(f"canary{index}", canary(0x5eed_0000 + index, 400_000), paging, "60s")
            for index in range(RANDOM_GUESTS):
                add(f"random{index}", RandomGuest(seed * RANDOM_GUESTS + index).image(), PAGING[index % 3], "60ms")
            result = run_hypervisor(cpu, configuration, *files, timeout=300)
        self.assertIn(result.status, (0, 1), result)
        self.assertNotIn("FATAL", result.com2, result)
        self.assertIn("bunshin-vmm: not all is well", result.com2, result)
        for index in range(len(PAGING)):
            self.assertIn(f"canary{index}: ended: wrote 0 to the debug-exit port", result.com2, result)
        ended = result.com2.count(": ended: ") + result.com2.count(": FAILED: ")
        self.assertEqual(ended, RANDOM_GUESTS + len(PAGING), result)
        return result

    def test_amd_v(self):
        for seed in range(3):
            with self.subTest(seed=seed):
                self.play("barcelona", seed)
        self.play("zen3", 3)

    def test_vt_x(self):
        for seed in range(3):
            with self.subTest(seed=seed):
                self.play("nehalem", seed)

    def test_the_same_twice(self):
        ends = [self.play("zen3", 11).stats["sim.state_hash"] for _ in range(2)]
        self.assertEqual(ends[0], ends[1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--first", type=int, default=0)
    given, rest = parser.parse_known_args()
    if given.seeds is None:
        main()
    for number in range(given.first, given.first + given.seeds):
        print(f"round {number}", flush=True)
        for profile in ("barcelona", "nehalem", "zen3"):
            Random().play(profile, number)
    sys.exit(0)
