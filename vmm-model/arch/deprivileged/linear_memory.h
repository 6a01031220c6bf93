#pragma once

// A guest's linear memory for what its processor does by itself: descriptors, gates, stacks.

#include "vmm-model/paging/guest_paging.h"

namespace bunshin::vmm::deprivileged {

class LinearMemory {
 public:
  bool attach(GuestMemory& memory, GuestPaging& paging, SoftwareProcessor& listener) {
    memory_ = &memory;
    paging_ = &paging;
    listener_ = &listener;
    return true;
  }

  /// False: a page fault, which error_code() and address() describe. What is not RAM reads as ones and ignores writes.
  bool read(u32 linear, std::span<u8> bytes, WalkAccess access);
  /// Nothing is written unless all can be.
  bool write(u32 linear, std::span<const u8> bytes, bool user);
  bool read(u32 linear, unsigned size, u64& value, bool user);
  bool write(u32 linear, unsigned size, u64 value, bool user);
  /// As a read, but false for what is not RAM too.
  bool translate(u32 linear, WalkAccess access, GuestPhysical& address);
  /// Translations are kept as a TLB keeps them, until what empties one: loads of control registers, and INVLPG.
  void forget() { kept_ = {}; }

  u32 error_code() const { return error_code_; }
  u32 address() const { return address_; }
  Exit fault() const;

 private:
  struct Kept {
    u32 tag = 0;  ///< page, and the access in its low bits; 0: none
    u64 page = 0;
  };
  static constexpr unsigned kept_translations = 64;

  bool walk(u32 linear, WalkAccess access, GuestPhysical& address);

  GuestMemory* memory_ = nullptr;
  GuestPaging* paging_ = nullptr;
  SoftwareProcessor* listener_ = nullptr;
  u32 error_code_ = 0, address_ = 0;
  std::array<Kept, kept_translations> kept_{};
};

}  // namespace bunshin::vmm::deprivileged
