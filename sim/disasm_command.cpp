#include "sim/disasm_command.h"

#include <algorithm>

#include <fmt/format.h>

#include "sim/debug/disassembler.h"
#include "sim/debug/symbols.h"
#include "sim/loader/loader.h"

namespace bunshin {

namespace {

struct CodeRange {
  std::string title;
  std::span<const u8> bytes;
  u64 address = 0;
  unsigned bits = 64;
};

std::vector<CodeRange> elf_code(const ImageFile& image, const ElfFile& elf) {
  constexpr u64 section_executable = 4;
  constexpr u32 segment_executable = 1, section_without_bytes = 8;
  const unsigned bits = elf.is_64bit() ? 64 : 32;
  std::vector<CodeRange> code;
  for (const ElfSection& s : elf.sections()) {
    if ((s.flags & section_executable) == 0 || s.type == section_without_bytes || s.size == 0) continue;
    code.push_back(
        {fmt::format("section at {:#x}", s.address), image.slice(s.offset, s.size, "section"), s.address, bits});
  }
  if (!code.empty()) return code;
  for (const ElfSegment& s : elf.segments()) {
    if (s.type != ElfSegment::load || (s.flags & segment_executable) == 0) continue;
    code.push_back({fmt::format("segment at {:#x}", s.virtual_address), image.slice(s.offset, s.file_size, "segment"),
                    s.virtual_address, bits});
  }
  return code;
}

std::vector<CodeRange> code_of(const ImageFile& image, const DisasmOptions& options) {
  if (ElfFile::is_elf(image)) return elf_code(image, ElfFile(image));
  if (is_linux(image)) {
    const u8 sectors = image.get<u8>(0x1f1, "setup header");
    const u64 setup = (u64{sectors == 0 ? u8{4} : sectors} + 1) * 512;
    // The 32-bit entry, then the 64-bit one (Linux boot protocol).
    std::vector<CodeRange> code{
        {"32-bit entry",
         image.slice(setup, std::min<u64>(0x200, image.size() - std::min(setup, image.size())), "kernel"), 0x100000,
         32}};
    if (image.size() > setup + 0x200) {
      code.push_back(
          {"64-bit entry", image.slice(setup + 0x200, image.size() - setup - 0x200, "kernel"), 0x100200, 64});
    }
    return code;
  }
  return {{"", image.slice(options.offset, image.size() - std::min(options.offset, image.size()), "start of the code"),
           options.base + options.offset, 64}};
}

/// Narrows to one function: up to the next symbol.
std::vector<CodeRange> only(const std::vector<CodeRange>& code, const Symbols& symbols, const ImageFile& image,
                            const std::string& name) {
  const std::optional<u64> address = symbols.address(name);
  if (!address) image.fail(fmt::format("has no symbol '{}'", name));
  for (CodeRange range : code) {
    if (*address - range.address >= range.bytes.size()) continue;
    const auto next = symbols.all().upper_bound(*address);
    const u64 begin = *address - range.address;
    const u64 end = next == symbols.all().end() ? range.bytes.size()
                                                : std::min<u64>(range.bytes.size(), next->first - range.address);
    range.bytes = range.bytes.subspan(begin, end - begin);
    range.address = *address;
    return {range};
  }
  image.fail(fmt::format("the symbol '{}' lies in no code", name));
}

void print(const CodeRange& range, const DisasmOptions& options, const Symbols& symbols, std::ostream& out) {
  const Disassembler disassembler(options.bits == 0 ? range.bits : options.bits);
  std::span<const u8> left = range.bytes.first(std::min<u64>(range.bytes.size(), options.length.value_or(~u64{0})));
  if (!range.title.empty()) out << range.title << ":\n";
  for (u64 address = range.address; !left.empty();) {
    if (const auto symbol = symbols.all().find(address); symbol != symbols.all().end()) out << symbol->second << ":\n";
    const Disassembled d = disassembler.at(left, address);
    out << fmt::format("  {:>16x}  {:<30}  {}\n", address, hex_bytes(left.first(d.length)), d.text);
    left = left.subspan(d.length);
    address += d.length;
  }
}

}  // namespace

void disassemble_file(const DisasmOptions& options, std::ostream& out) {
  const ImageFile image = ImageFile::open(options.file);
  const Symbols symbols = ElfFile::is_elf(image) ? Symbols::from_file(options.file) : Symbols();
  std::vector<CodeRange> code = code_of(image, options);
  if (!options.symbol.empty()) code = only(code, symbols, image, options.symbol);
  for (const CodeRange& range : code) print(range, options, symbols, out);
}

}  // namespace bunshin
