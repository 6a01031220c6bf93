#pragma once

// ELF executables for x86, 32 and 64 bits (System V ABI, chapters 4 and 5).

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sim/loader/boot_memory.h"
#include "sim/loader/image_file.h"

namespace bunshin {

struct ElfSegment {
  u32 type = 0;
  u32 flags = 0;
  u64 offset = 0;
  u64 virtual_address = 0;
  u64 physical_address = 0;
  u64 file_size = 0;
  u64 memory_size = 0;

  static constexpr u32 load = 1, note = 4;
};

struct ElfSection {
  u32 name = 0;
  u32 type = 0;
  u64 flags = 0;
  u64 address = 0;
  u64 offset = 0;
  u64 size = 0;
  u32 link = 0;
  u64 entry_size = 0;
};

class ElfFile {
 public:
  static bool is_elf(const ImageFile& image);
  /// Parses and checks the headers; `image` must outlive the object. Throws std::runtime_error naming the file if it is
  /// not an x86 executable or a header lies outside it.
  explicit ElfFile(const ImageFile& image);

  bool is_64bit() const { return is_64bit_; }
  const std::vector<ElfSegment>& segments() const { return segments_; }
  /// The entry point as a physical address: moved with the segment that contains it.
  u64 physical_entry() const;
  u64 entry() const { return entry_; }
  /// The value (4 or 8 bytes) of a note with this owner and type, if the file has one.
  std::optional<u64> note(const std::string& owner, u32 type) const;
  /// Copies the loadable segments to their physical addresses, which must be free RAM. Returns the end of the highest.
  u64 load(BootMemory& memory) const;

  /// Sections, or nothing if the table is damaged: they are only for people.
  std::vector<ElfSection> sections() const;
  /// Function and object symbols by address; empty if there are none.
  std::map<u64, std::string> symbols() const;

 private:
  template <class Word>
  void parse_headers();
  /// How much of the segment's beginning is not loaded, in bytes.
  u64 skipped_headers(const ElfSegment& segment) const;

  const ImageFile& image_;
  bool is_64bit_ = false;
  u64 entry_ = 0;
  u64 section_offset_ = 0;
  unsigned section_count_ = 0;
  unsigned section_entry_size_ = 0;
  std::vector<ElfSegment> segments_;
};

}  // namespace bunshin
