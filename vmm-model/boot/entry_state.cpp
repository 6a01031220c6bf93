#include "vmm-model/boot/guest_loader.h"
#include "vmm-model/registers.h"

namespace bunshin::vmm {

namespace {

constexpr u16 code_selector = 0x10, data_selector = 0x18, tss_selector = 0x20;
constexpr u16 code32 = segment::P | segment::S | segment::G | segment::DB | 0xb;
constexpr u16 code64 = segment::P | segment::S | segment::G | segment::L | 0xb;
constexpr u16 data = segment::P | segment::S | segment::G | segment::DB | 0x3;
constexpr u16 busy_tss = segment::P | 0xb;

/// A descriptor with base 0 (SDM vol. 3, figure 3-8).
constexpr u64 descriptor(u16 attributes, u32 limit) {
  return (limit & 0xffff) | u64{attributes & 0xffu} << 40 | u64{limit >> 16 & 0xf} << 48 |
         u64{attributes >> 8 & 0xfu} << 52;
}

void load_flat_segments(GuestMemory& memory, GuestExecution& execution, u16 code) {
  const std::array<u64, 6> table{
      0, descriptor(code, 0xfffff), descriptor(code, 0xfffff), descriptor(data, 0xfffff), descriptor(busy_tss, 0x67),
      0};
  for (unsigned i = 0; i < table.size(); ++i) memory.store(GuestPhysical(boot_layout::gdt + 8 * i), 8, table[i]);
  execution.set_segment(SegmentName::gdtr, {0, 0, sizeof(table) - 1, boot_layout::gdt});
  execution.set_segment(SegmentName::idtr, {0, 0, 0x3ff, 0});
  for (const SegmentName name : {SegmentName::es, SegmentName::ss, SegmentName::ds, SegmentName::fs, SegmentName::gs}) {
    execution.set_segment(name, {data_selector, data, 0xffff'ffff, 0});
  }
  execution.set_segment(SegmentName::cs, {code_selector, code, 0xffff'ffff, 0});
  execution.set_segment(SegmentName::ldtr, {0, segment::P | 2, 0, 0});
  execution.set_segment(SegmentName::tr, {tss_selector, busy_tss, 0x67, 0});
}

void clear_registers(GuestExecution& execution, u64 entry) {
  execution.registers = {};
  execution.set(StateField::rflags, rflags::fixed);
  execution.set(StateField::rip, entry);
  execution.set(StateField::cpl, 0);
}

/// PML4, one PDPT, four page directories of 2 MiB pages (SDM vol. 3, 4.5).
void build_identity_tables(GuestMemory& memory) {
  constexpr unsigned directories = 4;
  constexpr u64 present_writable = 3, large = 0x80;
  const u64 pml4 = boot_layout::page_tables, pdpt = pml4 + page_size, first = pdpt + page_size;
  memory.clear(GuestPhysical(pml4), (2 + directories) * page_size);
  memory.store(GuestPhysical(pml4), 8, pdpt | present_writable);
  for (unsigned d = 0; d < directories; ++d) {
    memory.store(GuestPhysical(pdpt + 8 * d), 8, (first + d * page_size) | present_writable);
    for (unsigned i = 0; i < 512; ++i) {
      const u64 page = (u64{d} << 30) + (u64{i} << 21);
      memory.store(GuestPhysical(first + d * page_size + 8 * i), 8, page | present_writable | large);
    }
  }
}

}  // namespace

void enter_protected_mode(GuestMemory& memory, GuestExecution& execution, u64 entry) {
  clear_registers(execution, entry);
  load_flat_segments(memory, execution, code32);
  execution.set(StateField::cr4, 0);
  execution.set(StateField::efer, 0);
  execution.set(StateField::cr0, cr0::PE | cr0::ET);
}

void enter_long_mode(GuestMemory& memory, GuestExecution& execution, u64 entry) {
  clear_registers(execution, entry);
  load_flat_segments(memory, execution, code64);
  build_identity_tables(memory);
  execution.set(StateField::cr3, boot_layout::page_tables);
  execution.set(StateField::cr4, cr4::PAE);
  execution.set(StateField::efer, efer::LME | efer::LMA);
  execution.set(StateField::cr0, cr0::PG | cr0::PE | cr0::ET);
}

std::string_view load_guest(const GuestImage& image, GuestMemory& memory, GuestExecution& execution) {
  if (image.cmdline.size() >= boot_layout::cmdline_max) return "its command line is longer than 65535 characters";
  return is_linux(image.kernel) ? load_linux(image, memory, execution) : load_multiboot(image, memory, execution);
}

}  // namespace bunshin::vmm
