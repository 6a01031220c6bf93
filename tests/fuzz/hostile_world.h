#pragma once

// What virtualization_fuzz makes of an input: a hypervisor in 64-bit mode whose control structure, bitmaps, nested tables and own
// instructions the input changes, and a guest in any mode with tables and code of the input's making.

#include <initializer_list>
#include <span>

#include "core/cpu.h"
#include "tests/fuzz/input.h"

namespace bunshin::fuzz {

/// Where things lie in the machine's memory.
namespace layout {
inline constexpr u64 host_code = 0x1000, exit_handler = 0x3000, change_list = 0x4000, change_pointer = 0x6000,
                     host_stack = 0x9000, control = 0x1'0000, vmxon_region = 0x1'1000, maps = 0x1'2000,
                     pages = 0x1'8000, other_region = 0x1'f000, nested = 0x2'0000, guest_code = 0x3'0000,
                     guest_stack = 0x3'9000, gdt = 0x4'0000, task = 0x4'1000, idt = 0x4'2000, vectors16 = 0x4'3000,
                     guest_pages = 0x5'0000, pae_pages = 0x5'4000, host_tables = 0x10'0000;
}
/// Entries of layout::change_list: what the handler of exits takes one after the other, 16 bytes each.
inline constexpr unsigned changes = 200;

enum class GuestMode : u8 { Long, Compatibility, Pae, Virtual8086, Protected, Real };
constexpr bool is_long(GuestMode m) { return m == GuestMode::Long || m == GuestMode::Compatibility; }
constexpr bool has_paging(GuestMode m) { return m < GuestMode::Protected; }
constexpr bool is_16_bit(GuestMode m) { return m == GuestMode::Virtual8086 || m == GuestMode::Real; }

class HostileWorld {
 public:
  HostileWorld(PhysicalMemory& memory, Input& input) : memory_(memory), input_(input) {}

  void bytes(u64 address, std::span<const u8> data);
  void bytes(u64 address, std::initializer_list<u8> data) {
    bytes(address, std::span<const u8>(data.begin(), data.size()));
  }
  template <class T>
  void put(u64 address, T value) {
    bytes(address, std::span<const u8>(reinterpret_cast<const u8*>(&value), sizeof value));
  }
  /// Changes of 8 bytes in a range, at most `count`.
  void change(u64 base, u64 size, unsigned count);

  /// The host's paging, nested tables with these rights (and these more bits in leaves), the guest's own tables of both formats,
  /// its descriptors and gates; then what the input changes in them.
  void tables(u64 rights, u64 leaf);
  /// The guest's instructions: the input's own between some that are likely to leave it.
  void guest_instructions();
  /// Most changes only let the guest go on somewhere else in its code: one that is refused runs no instruction.
  bool is_hostile() { return input_.byte() % 4 == 3; }
  /// Three of these into 64 bytes of NOPs at `at`.
  void host_instructions(u64 at, std::span<const std::span<const u8>> phrases);

 protected:
  PhysicalMemory& memory_;
  Input& input_;

 private:
  void paging_tables();
  void descriptors();
};

/// Both make a world out of `input` in the machine's memory and leave the processor where its hypervisor begins.
void make_vmx_world(Cpu& cpu, Input& input);
void make_svm_world(Cpu& cpu, Input& input);

}  // namespace bunshin::fuzz
