#include "sim/loader/entry_state.h"

#include <array>

namespace bunshin {

namespace {

constexpr u32 code32_attributes = 0xc09b, code64_attributes = 0xa09b, data_attributes = 0xc093, tss32_busy = 0x8b;

/// A segment descriptor with base 0 (SDM vol. 3, figure 3-8).
constexpr u64 descriptor(u32 attributes, u32 limit) {
  return (limit & 0xffff) | u64{attributes & 0xff} << 40 | u64{(limit >> 16) & 0xf} << 48 |
         u64{(attributes >> 12) & 0xf} << 52;
}

void load_flat_segments(CpuState& state, BootMemory& memory, u32 code_attributes) {
  const std::array<u64, 6> table{0,
                                 descriptor(code_attributes, 0xfffff),
                                 descriptor(code_attributes, 0xfffff),
                                 descriptor(data_attributes, 0xfffff),
                                 descriptor(tss32_busy, 0x67),
                                 0};
  const u64 address = memory.place_table(sizeof(table), "global descriptor table");
  memory.put(address, table);
  state.gdtr = {address, sizeof(table) - 1};
  // As the firmware's real mode leaves it: kernels that go back there rely on that.
  state.idtr = {0, 0x3ff};
  for (Segment& s : state.seg) s = {boot_data_selector, data_attributes, 0xffffffff, 0};
  state.segment(Seg::CS) = {boot_code_selector, code_attributes, 0xffffffff, 0};
  state.ldtr = {0, Segment::null, 0, 0};
  state.tr = {boot_tss_selector, tss32_busy, 0x67, 0};
}

void clear_registers(CpuState& state, u64 entry) {
  state.gpr = {};
  state.gpr[CpuState::page_slot] = page_size;
  state.flags.set_value(rflags::fixed);
  state.rip = entry;
  state.cpl = 0;
  state.cr4 = 0;
  state.activity = Activity::Active;
}

/// PML4, one PDPT, four page directories of 2 MiB pages (SDM vol. 3, 4.5).
u64 build_identity_tables(BootMemory& memory) {
  constexpr unsigned directories = 4;
  constexpr u64 present_writable = 3, large = 0x80;
  const u64 pml4 = memory.place_table((2 + directories) * page_size, "page tables");
  const u64 pdpt = pml4 + page_size;
  const u64 first_directory = pdpt + page_size;
  memory.put(pml4, pdpt | present_writable);
  for (unsigned d = 0; d < directories; ++d) {
    memory.put(pdpt + 8 * d, (first_directory + d * page_size) | present_writable);
    for (unsigned i = 0; i < 512; ++i) {
      const u64 page = (u64{d} << 30) + (u64{i} << 21);
      memory.put(first_directory + d * page_size + 8 * i, page | present_writable | large);
    }
  }
  return pml4;
}

}  // namespace

void apply_firmware_state(CpuState& state, unsigned physical_bits, u64 pci_hole) {
  constexpr u64 write_back_all = 0x0606060606060606ULL, fixed_and_variable_enabled = 0xc00, write_back = 6;
  state.msr.mtrr_def_type = fixed_and_variable_enabled | write_back;
  state.msr.mtrr_fixed.fill(write_back_all);
  // 0xA0000-0xBFFFF, video memory (SDM vol. 3, table 11-9).
  state.msr.mtrr_fixed[2] = 0;
  const u64 physical_mask = (u64{1} << physical_bits) - 1;
  state.msr.mtrr_variable[0] = pci_hole;
  state.msr.mtrr_variable[1] = (~((u64{1} << 32) - pci_hole - 1) & physical_mask) | 0x800;
  state.msr.feature_control = 1;
}

void enter_protected_mode(CpuState& state, BootMemory& memory, u64 entry) {
  clear_registers(state, entry);
  load_flat_segments(state, memory, code32_attributes);
  state.cr0 = cr0::PE | cr0::ET;
  state.msr.efer = 0;
}

void enter_long_mode(CpuState& state, BootMemory& memory, u64 entry) {
  clear_registers(state, entry);
  load_flat_segments(state, memory, code64_attributes);
  state.cr3 = build_identity_tables(memory);
  state.cr4 = cr4::PAE;
  state.msr.efer = efer::LME | efer::LMA;
  state.cr0 = cr0::PG | cr0::PE | cr0::ET;
}

}  // namespace bunshin
