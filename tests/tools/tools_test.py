"""The checking tools find what they are for."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

import check_docs  # noqa: E402
import check_layers  # noqa: E402
import module_order  # noqa: E402
import profile_table  # noqa: E402


class Layers(unittest.TestCase):
    def offences(self, path, text):
        return [line for line, _ in check_layers.offences_in(path, text)]

    def test_rightward_includes_pass(self):
        self.assertEqual(self.offences("core/cpu.h", '#include "mmu/mmu.h"\n#include "core/state.h"\n#include <span>\n'), [])

    def test_leftward_include_is_found_with_its_line(self):
        self.assertEqual(self.offences("mmu/walker.cpp", '#include "base/types.h"\n\n#include "core/cpu.h"\n'), [3])

    def test_header_without_its_folder_is_found(self):
        self.assertEqual(self.offences("mmu/walker.cpp", '#include "walker.h"\n'), [1])

    def test_tests_are_not_a_layer_to_include(self):
        self.assertEqual(self.offences("mmu/walker.cpp", '#include "tests/mmu/table_builder.h"\n'), [1])

    def test_systemc_stays_at_its_end_of_the_house(self):
        self.assertEqual(self.offences("core/processor.cpp", "#include <systemc>\n"), [1])
        self.assertEqual(self.offences("devices/pit.cpp", "#include <tlm_utils/simple_target_socket.h>\n"), [1])
        self.assertEqual(self.offences("devices/tlm/bus.cpp", "#include <systemc>\n"), [])

    def test_generated_table_passes(self):
        self.assertEqual(self.offences("devices/acpi_tables.cpp", '#include "dsdt.hex"\n'), [])

    def test_commented_include_is_no_include(self):
        self.assertEqual(self.offences("mmu/walker.cpp", '// #include "core/cpu.h"\n'), [])


class ProfileTable(unittest.TestCase):
    def parameters(self, text):
        with tempfile.TemporaryDirectory() as directory:
            file = pathlib.Path(directory) / "profile.yaml"
            file.write_text(text)
            return profile_table.read(file)

    def test_a_comment_holds_up_to_the_next_or_the_end_of_its_group(self):
        p = self.parameters("tlb:\n  # Manual,\n  # table 1.\n  small: {entries: 64, ways: 4}\n  l1d:\n    # Estimate.\n"
                            "    large: 1\n  latency: 7\ncpu:\n  family: 6\n")
        self.assertEqual(p["tlb.small.ways"].source, "Manual, table 1.")
        self.assertEqual(p["tlb.l1d.large"].source, "Estimate.")
        self.assertTrue(p["tlb.l1d.large"].estimate)
        self.assertEqual(p["tlb.latency"].source, "Manual, table 1.")
        self.assertEqual(p["cpu.family"].source, "")

    def test_an_included_fragment_is_read_below_the_profile(self):
        p = profile_table.profile("haswell")
        self.assertEqual(p["caches.l2.size"].value, "256KiB")
        self.assertEqual(p["pipeline.window"].value, "192")
        self.assertIn("avx2", p["cpu.features"].value.split())


class Ablation(unittest.TestCase):
    """The patches that switch the engine's techniques off, one by one (benchmarks/ablation.py), fit the code."""

    def test_every_patch_applies_and_says_what_it_does(self):
        root = pathlib.Path(__file__).resolve().parents[2]
        patches = sorted((root / "benchmarks/ablation").glob("*.patch"))
        self.assertTrue(patches)
        for patch in patches:
            with self.subTest(patch.name):
                self.assertRegex(patch.read_text().splitlines()[0], r"^[A-Z].*\.$")
                subprocess.run(["patch", "--dry-run", "--fuzz=0", "-p1", "-d", root, "-i", patch], check=True,
                               stdout=subprocess.DEVNULL)


class Docs(unittest.TestCase):
    def offences(self, text):
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory)
            (root / "there.md").write_text("# A heading, with `code`\n")
            file = root / "page.md"
            file.write_text(text)
            return [line for line, _ in check_docs.offences_in(root, file)]

    def test_good_links_pass(self):
        self.assertEqual(self.offences("[a](there.md) [b](there.md#a-heading-with-code) [c](https://example.org/x)\n"), [])

    def test_broken_links_are_found(self):
        self.assertEqual(self.offences("[a](there.md)\n[b](missing.md)\n[c](there.md#nothing)\n"), [2, 3])

    def test_source_files_that_moved_are_found(self):
        self.assertEqual(self.offences("see `core/gone.h`\n"), [1])

    def test_code_blocks_are_not_read(self):
        self.assertEqual(self.offences("```\n[b](missing.md)\n```\n"), [])


class ModuleOrder(unittest.TestCase):
    def test_what_is_needed_comes_first(self):
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory)
            (root / "disk.ko").write_bytes(b"\0depends=ring,bus-core\0")
            (root / "ring.ko").write_bytes(b"\0depends=bus_core\0")
            (root / "bus-core.ko").write_bytes(b"\0depends=\0")
            names = [file.name for file in module_order.order(root, ["disk", "built_in"])]
        self.assertEqual(names, ["bus-core.ko", "ring.ko", "disk.ko"])


if __name__ == "__main__":
    unittest.main()
