#include "sim/loader/elf_file.h"

#include <algorithm>
#include <array>
#include <stdexcept>

#include <fmt/format.h>

namespace bunshin {

namespace {

constexpr u16 machine_386 = 3, machine_x86_64 = 62;
constexpr u16 type_executable = 2, type_shared = 3;
constexpr unsigned max_segments = 256;

}  // namespace

bool ElfFile::is_elf(const ImageFile& image) {
  constexpr std::array<u8, 4> magic{0x7f, 'E', 'L', 'F'};
  return image.size() >= 4 && std::ranges::equal(image.bytes().first(4), magic);
}

ElfFile::ElfFile(const ImageFile& image) : image_(image) {
  if (!is_elf(image)) image.fail("is not an ELF file");
  const u8 elf_class = image.get<u8>(4, "ELF class");
  if (elf_class != 1 && elf_class != 2) image.fail(fmt::format("ELF class {} is neither 32-bit nor 64-bit", elf_class));
  if (image.get<u8>(5, "ELF data encoding") != 1) image.fail("is a big-endian ELF file, not one for x86");
  is_64bit_ = elf_class == 2;
  const u16 type = image.get<u16>(16, "ELF type");
  const u16 machine = image.get<u16>(18, "ELF machine");
  if (machine != machine_386 && machine != machine_x86_64) {
    image.fail(fmt::format("is an ELF file for machine {}, not x86 (3) or x86-64 (62)", machine));
  }
  if (type != type_executable && type != type_shared) {
    image.fail(fmt::format("is an ELF file of type {}, not an executable (2)", type));
  }
  is_64bit_ ? parse_headers<u64>() : parse_headers<u32>();
}

template <class Word>
void ElfFile::parse_headers() {
  constexpr bool wide = sizeof(Word) == 8;
  entry_ = image_.get<Word>(24, "ELF entry point");
  const u64 table = image_.get<Word>(wide ? 32 : 28, "ELF header");
  section_offset_ = image_.get<Word>(wide ? 40 : 32, "ELF header");
  const u64 tail = wide ? 54 : 42;
  const u16 entry_size = image_.get<u16>(tail, "ELF header");
  const u16 count = image_.get<u16>(tail + 2, "ELF header");
  section_entry_size_ = image_.get<u16>(tail + 4, "ELF header");
  section_count_ = image_.get<u16>(tail + 6, "ELF header");
  if (count > max_segments)
    image_.fail(fmt::format("has {} program headers; {} at most make sense", count, max_segments));
  if (count != 0 && entry_size < (wide ? 56 : 32)) {
    image_.fail(fmt::format("has program headers of {} bytes, too small", entry_size));
  }
  for (unsigned i = 0; i < count; ++i) {
    const u64 at = table + u64{i} * entry_size;
    if (at < table) image_.fail("has a program header table beyond the end of the file");
    ElfSegment s;
    s.type = image_.get<u32>(at, "program header");
    s.flags = image_.get<u32>(at + (wide ? 4 : 24), "program header");
    s.offset = image_.get<Word>(at + (wide ? 8 : 4), "program header");
    s.virtual_address = image_.get<Word>(at + (wide ? 16 : 8), "program header");
    s.physical_address = image_.get<Word>(at + (wide ? 24 : 12), "program header");
    s.file_size = image_.get<Word>(at + (wide ? 32 : 16), "program header");
    s.memory_size = image_.get<Word>(at + (wide ? 40 : 20), "program header");
    if (s.type == ElfSegment::load && s.file_size > s.memory_size) {
      image_.fail(fmt::format("segment {} has more bytes in the file ({:#x}) than in memory ({:#x})", i, s.file_size,
                              s.memory_size));
    }
    segments_.push_back(s);
  }
}

u64 ElfFile::physical_entry() const {
  for (const ElfSegment& s : segments_) {
    if (s.type == ElfSegment::load && entry_ - s.virtual_address < s.memory_size) {
      return entry_ - s.virtual_address + s.physical_address;
    }
  }
  return entry_;
}

std::optional<u64> ElfFile::note(const std::string& owner, u32 type) const {
  for (const ElfSegment& s : segments_) {
    if (s.type != ElfSegment::note) continue;
    u64 at = 0;
    while (at + 12 <= s.file_size) {
      const u64 base = s.offset + at;
      const u32 name_size = image_.get<u32>(base, "ELF note");
      const u32 value_size = image_.get<u32>(base + 4, "ELF note");
      const u32 note_type = image_.get<u32>(base + 8, "ELF note");
      const u64 name_at = base + 12;
      const u64 value_at = name_at + ((u64{name_size} + 3) & ~u64{3});
      const std::span<const u8> name = image_.slice(name_at, name_size, "ELF note's owner");
      image_.slice(value_at, value_size, "ELF note's value");
      const std::string text(name.begin(), std::find(name.begin(), name.end(), u8{0}));
      if (text == owner && note_type == type) {
        if (value_size == 4) return image_.get<u32>(value_at, "ELF note's value");
        if (value_size == 8) return image_.get<u64>(value_at, "ELF note's value");
        image_.fail(fmt::format("its ELF note {} {} has {} bytes, not 4 or 8", owner, type, value_size));
      }
      at = value_at + ((u64{value_size} + 3) & ~u64{3}) - s.offset;
    }
  }
  return std::nullopt;
}

// Linkers put the file's headers and notes into memory, on the page before the first section: for a kernel at 1 MiB this
// page is the firmware's. Nobody misses them, and QEMU loads such kernels.
u64 ElfFile::skipped_headers(const ElfSegment& s) const {
  if (s.offset != 0 || s.physical_address < BootMemory::low_end || s.physical_address >= BootMemory::high_begin)
    return 0;
  const u64 below = std::min(BootMemory::high_begin - s.physical_address, s.memory_size);
  return physical_entry() - s.physical_address < below ? 0 : below;
}

u64 ElfFile::load(BootMemory& memory) const {
  u64 end = 0;
  for (std::size_t i = 0; i < segments_.size(); ++i) {
    const ElfSegment& s = segments_[i];
    if (s.type != ElfSegment::load || s.memory_size == 0) continue;
    const std::span<const u8> bytes = image_.slice(s.offset, s.file_size, fmt::format("segment {}", i));
    const u64 skipped = skipped_headers(s);
    const u64 begin = s.physical_address + skipped;
    memory.claim({begin, s.memory_size - skipped}, image_.name(), fmt::format("segment {}", i));
    memory.write(begin, bytes.subspan(std::min<u64>(skipped, bytes.size())));
    end = std::max(end, s.physical_address + s.memory_size);
  }
  if (end == 0) image_.fail("has no loadable segment");
  return end;
}

std::vector<ElfSection> ElfFile::sections() const {
  std::vector<ElfSection> sections;
  if (section_entry_size_ < (is_64bit_ ? 64 : 40)) return sections;
  for (unsigned i = 0; i < section_count_; ++i) {
    const u64 at = section_offset_ + u64{i} * section_entry_size_;
    if (at > image_.size() || image_.size() - at < section_entry_size_) break;
    ElfSection s;
    s.name = image_.get<u32>(at, "section header");
    s.type = image_.get<u32>(at + 4, "section header");
    const auto word = [&](u64 wide_offset, u64 narrow_offset) {
      return is_64bit_ ? image_.get<u64>(at + wide_offset, "section header")
                       : u64{image_.get<u32>(at + narrow_offset, "section header")};
    };
    s.flags = word(8, 8);
    s.address = word(16, 12);
    s.offset = word(24, 16);
    s.size = word(32, 20);
    s.link = image_.get<u32>(at + (is_64bit_ ? 40 : 24), "section header");
    s.entry_size = word(56, 36);
    sections.push_back(s);
  }
  return sections;
}

std::map<u64, std::string> ElfFile::symbols() const {
  constexpr u32 symbol_table = 2;
  std::map<u64, std::string> symbols;
  const std::vector<ElfSection> all = sections();
  const u64 smallest = is_64bit_ ? 24 : 16;
  for (const ElfSection& table : all) {
    if (table.type != symbol_table || table.link >= all.size() || table.entry_size < smallest) continue;
    const ElfSection& strings = all[table.link];
    if (strings.offset > image_.size() || strings.size > image_.size() - strings.offset) continue;
    const std::span<const u8> names = image_.bytes().subspan(strings.offset, strings.size);
    for (u64 at = 0; at + smallest <= table.size; at += table.entry_size) {
      if (table.offset + at > image_.size() - smallest) break;
      const u64 symbol = table.offset + at;
      const u32 name = image_.get<u32>(symbol, "symbol");
      const u8 type = image_.get<u8>(symbol + (is_64bit_ ? 4 : 12), "symbol") & 0xf;
      const u64 value = is_64bit_ ? image_.get<u64>(symbol + 8, "symbol") : image_.get<u32>(symbol + 4, "symbol");
      const u16 section = image_.get<u16>(symbol + (is_64bit_ ? 6 : 14), "symbol");
      if (section == 0 || type > 2 || name == 0 || name >= names.size()) continue;
      const auto first = names.begin() + name;
      const std::string text(first, std::find(first, names.end(), u8{0}));
      if (!text.empty()) symbols.emplace(value, text);
    }
  }
  return symbols;
}

}  // namespace bunshin
