#include "core/system/msr.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "core/system/msr_table.h"
#include "core/system/semantics.h"
#include "core/virt/intercept.h"
#include "mmu/scheme.h"

namespace bunshin {

u64 efer_writable(const Cpu& cpu) {
  const bool nx = cpu.profile.has(Feature::Nx) && (cpu.state.msr.misc_enable & misc_enable::xd_disable) == 0;
  return (cpu.profile.has(Feature::Syscall) ? efer::SCE : 0) | (cpu.profile.has(Feature::Lm) ? efer::LME : 0) |
         (nx ? efer::NXE : 0) | (cpu.virt != nullptr ? cpu.virt->efer_extension() : 0);
}

namespace msr {
namespace {

/// LME must not change while paging is on; LMA is the processor's (SDM vol. 3, 2.2.1).
bool write_efer(Cpu& cpu, u32 /*index*/, u64 value) {
  CpuState& s = cpu.state;
  value &= ~efer::LMA;
  if ((value & ~efer_writable(cpu)) != 0) return false;
  if (((value ^ s.msr.efer) & efer::LME) != 0 && s.paging()) return false;
  const u64 before = s.msr.efer;
  s.msr.efer = value | (before & efer::LMA);
  if (cpu.virt != nullptr) cpu.virt->efer_written(before);
  cpu.update_mode();
  return true;
}

template <Seg segment>
bool read_base(const Cpu& cpu, u32 /*index*/, u64& value) {
  value = cpu.state.segment(segment).base;
  return true;
}

template <Seg segment>
bool write_base(Cpu& cpu, u32 /*index*/, u64 value) {
  if (!canonical(cpu, value)) return false;
  cpu.state.segment(segment).base = value;
  return true;
}

// clang-format off
constexpr Row core_rows[] = {
    {0x174, 1, Feature::Sep, Maker::Any, read_field<&Msrs::sysenter_cs>, write_masked<&Msrs::sysenter_cs, 0xffff'ffff>},
    {0x175, 1, Feature::Sep, Maker::Any, read_field<&Msrs::sysenter_esp>, write_canonical<&Msrs::sysenter_esp>},
    {0x176, 1, Feature::Sep, Maker::Any, read_field<&Msrs::sysenter_eip>, write_canonical<&Msrs::sysenter_eip>},
    // EFER exists with any feature it enables; PAE processors without them lack it.
    {0xc000'0080, 1, Feature::Syscall, Maker::Any, read_field<&Msrs::efer>, write_efer},
    {0xc000'0080, 1, Feature::Nx, Maker::Any, read_field<&Msrs::efer>, write_efer},
    {0xc000'0080, 1, Feature::Lm, Maker::Any, read_field<&Msrs::efer>, write_efer},
    {0xc000'0081, 1, Feature::Syscall, Maker::Any, read_field<&Msrs::star>, write_field<&Msrs::star>},
    {0xc000'0082, 1, Feature::Lm, Maker::Any, read_field<&Msrs::lstar>, write_canonical<&Msrs::lstar>},
    {0xc000'0083, 1, Feature::Lm, Maker::Any, read_field<&Msrs::cstar>, write_canonical<&Msrs::cstar>},
    {0xc000'0084, 1, Feature::Lm, Maker::Any, read_field<&Msrs::sfmask>, write_masked<&Msrs::sfmask, 0xffff'ffff>},
    {0xc000'0100, 1, Feature::Lm, Maker::Any, read_base<Seg::FS>, write_base<Seg::FS>},
    {0xc000'0101, 1, Feature::Lm, Maker::Any, read_base<Seg::GS>, write_base<Seg::GS>},
    {0xc000'0102, 1, Feature::Lm, Maker::Any, read_field<&Msrs::kernel_gs_base>,
     write_canonical<&Msrs::kernel_gs_base>},
    {0xc000'0103, 1, Feature::Rdtscp, Maker::Any, read_field<&Msrs::tsc_aux>,
     write_masked<&Msrs::tsc_aux, 0xffff'ffff>},
};
// clang-format on

bool belongs_to(const Row& row, const CpuProfile& profile) {
  if (!profile.has(row.feature)) return false;
  return row.maker == Maker::Any || (row.maker == Maker::Intel) == profile.intel();
}

/// All chapters, sorted by first index. Several rows may begin at one index; at most one is the profile's maker's, and
/// those of one maker behave alike.
const std::vector<Row>& table() {
  static const std::vector<Row> sorted = [] {
    std::vector<Row> all(std::begin(core_rows), std::end(core_rows));
    for (const auto chapter :
         {memory_type_rows(), time_rows(), debug_rows(), platform_rows(), svm_rows(), vmx_rows()}) {
      all.insert(all.end(), chapter.begin(), chapter.end());
    }
    std::stable_sort(all.begin(), all.end(), [](const Row& a, const Row& b) { return a.first < b.first; });
    return all;
  }();
  return sorted;
}

const Row* find(const Cpu& cpu, u32 index) {
  const auto& rows = table();
  auto it = std::upper_bound(rows.begin(), rows.end(), index, [](u32 i, const Row& row) { return i < row.first; });
  while (it != rows.begin()) {
    --it;
    if (index - it->first >= it->count) return nullptr;
    if (belongs_to(*it, cpu.profile)) return &*it;
  }
  return nullptr;
}

}  // namespace
}  // namespace msr

bool read_msr(Cpu& cpu, u32 index, u64& value) {
  const msr::Row* row = msr::find(cpu, index);
  if (row == nullptr) return cpu.mmu.scheme() != nullptr && cpu.mmu.scheme()->read_register(index, value);
  return row->read != nullptr && row->read(cpu, index, value);
}

bool write_msr(Cpu& cpu, u32 index, u64 value) {
  const msr::Row* row = msr::find(cpu, index);
  if (row == nullptr) return cpu.mmu.scheme() != nullptr && cpu.mmu.scheme()->write_register(index, value);
  return row->write != nullptr && row->write(cpu, index, value);
}

namespace semantics {

bool rdmsr(Cpu& cpu, const Record& r) {
  const u32 index = cpu.reg<u32>(offset_of(RCX));
  if (intercepted(cpu, r, Intercept::Rdmsr, index)) return false;
  u64 value = 0;
  std::optional<bool> done;
  if (cpu.guest != nullptr) done = cpu.guest->read_virtual_msr(index, value);
  if (!(done ? *done : read_msr(cpu, index, value))) return cpu.raise(Vector::GP, 0);
  cpu.set_reg(offset_of(RAX), static_cast<u32>(value));
  cpu.set_reg(offset_of(RDX), static_cast<u32>(value >> 32));
  return true;
}

bool wrmsr(Cpu& cpu, const Record& r) {
  const u32 index = cpu.reg<u32>(offset_of(RCX));
  if (intercepted(cpu, r, Intercept::Wrmsr, index)) return false;
  const u64 value = u64{cpu.reg<u32>(offset_of(RDX))} << 32 | cpu.reg<u32>(offset_of(RAX));
  std::optional<bool> done;
  if (cpu.guest != nullptr) done = cpu.guest->write_virtual_msr(index, value);
  return (done ? *done : write_msr(cpu, index, value)) || cpu.raise(Vector::GP, 0);
}

}  // namespace semantics
}  // namespace bunshin
