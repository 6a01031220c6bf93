#pragma once

// A guest's linear memory for what its processor does by itself: code, descriptors, gates, stacks.

#include "vmm-model/paging/guest_paging.h"

namespace bunshin::vmm::deprivileged {

class LinearMemory {
 public:
  /// A page as an access of one kind reaches it.
  struct Page {
    GuestPhysical address;
    HostPhysical host;
    bool memory = false;  ///< RAM; else `host` means nothing
    bool code = false;    ///< bytes of it may not be the guest's own: SoftwareProcessor::restore_code()
    bool global = false;
  };

  explicit LinearMemory(Hardware& hardware) : hardware_(hardware) {}
  void attach(GuestMemory& memory, GuestPaging& paging, SoftwareProcessor& listener) {
    memory_ = &memory;
    paging_ = &paging;
    listener_ = &listener;
  }

  /// False: a page fault, which error_code() and address() describe. What is not RAM reads as ones and ignores writes.
  bool read(u32 linear, std::span<u8> bytes, WalkAccess access);
  /// Nothing is written unless all can be.
  bool write(u32 linear, std::span<const u8> bytes, bool user);
  /// `size`: at most 8.
  bool read(u32 linear, unsigned size, u64& value, bool user);
  bool write(u32 linear, unsigned size, u64 value, bool user);
  /// Null: a page fault. Good until something is written or forgotten.
  const Page* find(u32 linear, WalkAccess access) {
    const Kept& kept = slot(linear, access);
    const bool good = kept.tag == tag_of(linear, access) && kept.made >= forgotten_[kept.page.global ? 1 : 0] &&
                      kept.made >= region(linear);
    return good ? &kept.page : walk(linear, access);
  }
  /// As a read, but false for what is not RAM too.
  bool translate(u32 linear, WalkAccess access, GuestPhysical& address) {
    const Page* const page = find(linear, access);
    if (page == nullptr || !page->memory) return false;
    address = page->address + (linear & (page_size - 1));
    return true;
  }
  /// Translations are kept as a TLB keeps them, until what empties one: loads of control registers, and INVLPG.
  void forget() { forgotten_[0] = forgotten_[1] = next_stamp(); }
  void forget_local() { forgotten_[0] = next_stamp(); }  ///< all but those of global pages
  /// At least the page that holds the address, as large as it may be.
  void forget(u32 linear) { region(linear) = next_stamp(); }

  u32 error_code() const { return error_code_; }
  u32 address() const { return address_; }
  Exit fault() const;

 private:
  struct Kept {
    u32 tag = 0;   ///< page, and the access in its low bits; 0: none
    u32 made = 0;  ///< not good if something that was forgotten is younger
    Page page;
  };
  static constexpr unsigned kept_translations = 128, regions = 64, region_shift = 22;

  static u32 tag_of(u32 linear, WalkAccess access) {
    return (linear & ~u32{page_size - 1}) | 8 | (access.write ? 4 : 0) | (access.execute ? 2 : 0) |
           (access.user ? 1 : 0);
  }
  Kept& slot(u32 linear, WalkAccess access) {
    const unsigned kind = (access.write ? 0x55u : 0u) ^ (access.execute ? 0x2au : 0u);
    return kept_[((linear >> page_shift) ^ (linear >> (page_shift + 6)) ^ kind) % kept_translations];
  }
  u32& region(u32 linear) { return regions_[(linear >> region_shift) % regions]; }
  u32 next_stamp();
  const Page* walk(u32 linear, WalkAccess access);
  void store(const Page& page, u32 linear, std::span<const u8> bytes);
  void written(GuestPhysical address, u64 bytes);

  Hardware& hardware_;
  GuestMemory* memory_ = nullptr;
  GuestPaging* paging_ = nullptr;
  SoftwareProcessor* listener_ = nullptr;
  u32 error_code_ = 0, address_ = 0;
  u32 stamp_ = 1;
  std::array<u32, 2> forgotten_{1, 1};  ///< of local and of global pages
  std::array<u32, regions> regions_{};
  std::array<Kept, kept_translations> kept_{};
};

}  // namespace bunshin::vmm::deprivileged
