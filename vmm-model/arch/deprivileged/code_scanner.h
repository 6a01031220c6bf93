#pragma once

// Rewrites the code of a guest's kernel before it runs (CHAPTER S10), so that instructions trap that read or change what belongs
// to the kernel and do not fault in user state: the first byte becomes HLT, which does, and the byte that was there is kept.
//
// Code is found by following it: from where the guest is entered along both sides of every branch, into every call and behind
// it. Branches through registers and memory trap too, until they have gone to known code often enough. Pages with found code are
// write-protected; what the guest writes there is looked at again. Every entry into the kernel at an address that has not been
// found yet starts anew, and because a page is mapped only once it has been touched, so does the first fetch from a page.
// A RET to an address that the instruction before it has put on the stack is a branch through a register, and traps. Loads of
// the stack pointer from memory trap: what lies on the new stack, and in a page of code, is taken for what a RET will go to. So
// is the top of the stack when a jump traps.
//
// What gets by: RET to other code that nothing else leads to, in a page that is mapped already, until the next exit; a branch
// through a table or a variable that has a new target after `trusted_after` old ones, likewise; code entered in the middle of an
// instruction; and the kernel's own reads of its code, which see the HLTs, because this processor cannot tell them from fetches.
// Reads that the hypervisor performs, and everything that others than the guest's processor read, get the original.

#include "vmm-model/arch/deprivileged/code.h"
#include "vmm-model/arch/deprivileged/linear_memory.h"

namespace bunshin::vmm::deprivileged {

class CodeScanner {
 public:
  CodeScanner(Hardware& hardware, LinearMemory& linear) : hardware_(hardware), linear_(linear) {}
  /// False: no memory left.
  bool start(GuestMemory& memory, GuestPaging& paging);

  /// Makes what is reachable from `linear` safe to run. `bits`: of the code segment, whose base is `base`.
  void prepare(u32 linear, u32 base, unsigned bits);
  /// The first byte of an instruction there is not the guest's.
  bool rewritten(u32 linear);
  /// Where a branch that was rewritten can go: through a register anywhere, through memory of its own to a few places.
  enum class Targets : u8 { One, Few, Any };
  /// It is about to go to `target`, which is prepared. It may then run by itself the next time.
  void branch_taken(u32 linear, u32 target, u32 base, unsigned bits, Targets targets);
  /// The first words of the stack, whose top is `linear`, may be what returns go to that no call has put there.
  void prepare_returns(u32 linear, unsigned words, u32 base, unsigned bits);
  static constexpr unsigned words_of_new_stack = 16;

  bool is_code(GuestPhysical page) const { return pages_ != nullptr && find(page) != nullptr; }
  void restore(GuestPhysical address, std::span<u8> bytes) const;
  void written(GuestPhysical address, u64 bytes);
  void give_up(GuestPhysical page);

  /// Changes with what instructions that were rewritten had been.
  u32 generation() const { return generation_; }
  /// Instructions looked at, and rewritten.
  u64 instructions() const { return instructions_; }
  u64 rewrites() const { return rewrites_; }

 private:
  static constexpr unsigned trusted_after = 16, max_pending = 4096, max_instructions = 200'000;
  /// Bytes of a page that the guest writes before the page is taken for data: a kernel patches less of itself.
  static constexpr unsigned most_written = 1024;
  static constexpr u8 trap = 0xf4;  // HLT

  struct Rewrite {
    u16 offset = 0;
    u8 original = 0;
    u8 hits = 0;
  };
  /// A page of guest memory in which code has been found.
  struct Page {
    static constexpr unsigned max_rewrites = 600;
    std::array<u32, 128> starts{};   ///< bit a byte: an instruction that has been looked at begins here
    std::array<u32, 128> changed{};  ///< … and its first byte is not the guest's
    std::array<u32, 128> written{};  ///< by the guest, since it was found to be code
    u32 linear = 0;                  ///< where it was last seen
    u32 code_base = 0;
    u16 rewrites = 0, bytes_written = 0;
    u8 bits = 32;
    std::array<Rewrite, max_rewrites> list{};
  };
  static_assert(sizeof(Page) <= 4096);

  Page* find(GuestPhysical page) const;
  const Page* page_of(u32 linear);
  Page* obtain(GuestPhysical page, u32 linear, u32 base, unsigned bits);
  bool known(u32 linear);
  void follow(u32 linear, u32 base, unsigned bits);
  bool look_at(u32 linear, u32 base, unsigned bits, bool behind_put, Code& code);
  bool want(u32 target);
  void rewrite(Page& page, GuestPhysical at, u8 original);
  void forget_guess(GuestPhysical first);
  void undo(Page& page, GuestPhysical at);
  static bool get(const std::array<u32, 128>& bits, unsigned at) { return (bits[at / 32] >> at % 32 & 1) != 0; }
  static void set(std::array<u32, 128>& bits, unsigned at) { bits[at / 32] |= u32{1} << at % 32; }
  static void clear(std::array<u32, 128>& bits, unsigned at) { bits[at / 32] &= ~(u32{1} << at % 32); }

  Hardware& hardware_;
  LinearMemory& linear_;
  GuestMemory* memory_ = nullptr;
  GuestPaging* paging_ = nullptr;
  Page** pages_ = nullptr;  ///< by GuestMemory::page_index
  Page* spare_ = nullptr;
  std::array<u32, max_pending> pending_{};
  unsigned pending_count_ = 0, looked_at_ = 0;
  /// What was found in code that is being written: a guess until the guest goes on elsewhere.
  struct Guess {
    static constexpr unsigned most = 256;
    std::array<GuestPhysical, most> starts{};
    unsigned count = 0;
    u32 from = 0;       ///< linear
    GuestPhysical end;  ///< of what was written
    bool open = false;
  };
  Guess guess_;
  u32 generation_ = 0;
  u64 instructions_ = 0, rewrites_ = 0;
};

}  // namespace bunshin::vmm::deprivileged
