// The VMCB in memory: which fields VMRUN reads, which it may leave unread (AMD APM vol. 2, 15.15), and which #VMEXIT writes.

#include <array>
#include <cstring>

#include "core/virt/physical_access.h"
#include "core/virt/svm/svm.h"

namespace bunshin::svm {

namespace {

/// Neighbouring fields that share a clean bit.
struct Fields {
  u16 offset;
  u16 bytes;
  u32 clean_bit;
};

// clang-format off
/// 15.15.3, table 15-9. What is in no group is always read.
constexpr Fields read_fields[] = {
    {0x0c0, 4, clean::never},
    {0x000, 0x18, clean::intercepts}, {0x03c, 4, clean::intercepts}, {0x050, 8, clean::intercepts},
    {0x040, 16, clean::maps},
    {0x058, 4, clean::asid},
    {0x05c, 4, clean::never},
    {0x060, 8, clean::tpr},
    {0x068, 8, clean::never},
    {0x090, 8, clean::never},
    {0x0a8, 8, clean::never},
    {0x0b0, 8, clean::nested_paging}, {0x668, 8, clean::nested_paging},
    {0x0b8, 8, clean::never},
    {0x0c8, 8, clean::never},
    {0x400, 0x40, clean::segments}, {0x4cb, 1, clean::segments},
    {0x460, 0x10, clean::tables}, {0x480, 0x10, clean::tables},
    {0x4d0, 8, clean::control_registers}, {0x548, 0x18, clean::control_registers},
    {0x560, 0x10, clean::debug_registers},
    {0x570, 0x10, clean::never},
    {0x5d8, 8, clean::never},
    {0x5f8, 8, clean::never},
    {0x640, 8, clean::cr2},
    {0x670, 0x28, clean::branches},
};

/// 15.6. G_PAT and the last-branch registers only where they are the guest's own.
constexpr Fields written_fields[] = {
    {0x060, 0x30, 0},
    {0x0a8, 8, 0},
    {0x400, 0x40, 0}, {0x460, 0x10, 0}, {0x480, 0x10, 0}, {0x4cb, 1, 0},
    {0x4d0, 8, 0},
    {0x548, 0x38, 0},
    {0x5d8, 8, 0},
    {0x5f8, 8, 0},
    {0x640, 8, 0},
};
constexpr Fields next_rip_field{0x0c8, 8, 0}, instruction_fields{0x0d0, 16, 0}, pat_field{0x668, 8, 0},
    branch_fields{0x670, 0x28, 0};
// clang-format on

std::span<u8> bytes_of(Vmcb& vmcb, const Fields& f) { return {reinterpret_cast<u8*>(&vmcb) + f.offset, f.bytes}; }

}  // namespace

void Svm::read_vmcb(HostPhysical address) {
  const bool same = vmcb_address_ && *vmcb_address_ == address;
  if (!same) vmcb_ = {};
  const u32 asid = vmcb_.control.asid;
  u32 clean_groups = 0;
  for (const Fields& f : read_fields) {
    if (f.clean_bit != clean::never && (clean_groups & f.clean_bit) != 0) continue;
    read_physical(cpu_, address + f.offset, bytes_of(vmcb_, f));
    if (f.offset == offsetof(Vmcb, control.clean) && same && has_feature(Feature::VmcbClean))
      clean_groups = vmcb_.control.clean;
  }
  // Under another ASID nothing of the last run counts (15.15.2).
  if (clean_groups != 0 && vmcb_.control.asid != asid) {
    vmcb_address_.reset();
    read_vmcb(address);
  }
  vmcb_address_ = address;
}

void Svm::write_vmcb() {
  const auto write = [this](const Fields& f) {
    write_physical(cpu_, *vmcb_address_ + f.offset, std::span<const u8>(bytes_of(vmcb_, f)));
  };
  for (const Fields& f : written_fields) write(f);
  if (has_feature(Feature::NripSave)) write(next_rip_field);
  if (has_feature(Feature::DecodeAssists)) write(instruction_fields);
  if (nested_paging()) write(pat_field);
  if ((vmcb_.control.virtual_control & virtual_branch_records) != 0) write(branch_fields);
}

}  // namespace bunshin::svm
