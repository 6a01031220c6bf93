// The MSR areas of VM entry and VM exit (SDM vol. 3, 24.7.2, 24.8.2, 26.4, 27.4, 27.6).

#include "core/system/msr.h"
#include "core/virt/vmx/vmx.h"

namespace bunshin::vmx {
namespace {

struct AreaEntry {
  u32 index = 0;
  u32 reserved = 0;
  u64 data = 0;
};

constexpr u32 fs_base = 0xc000'0100, gs_base = 0xc000'0101, smm_monitor_control = 0x9b, smbase = 0x9e;

bool is_x2apic(u32 index) { return index >> 8 == 8; }

bool may_load(const AreaEntry& e) {
  return e.index != fs_base && e.index != gs_base && e.index != smm_monitor_control && e.index != smbase &&
         !is_x2apic(e.index) && e.reserved == 0;
}

bool may_store(const AreaEntry& e) { return !is_x2apic(e.index) && e.index != smbase && e.reserved == 0; }

HostPhysical entry_address(u64 area, u32 i) { return HostPhysical(area + u64{i} * sizeof(AreaEntry)); }

}  // namespace

u32 Vmx::load_msrs(u64 address, u32 count) {
  for (u32 i = 0; i < count && i < Capabilities::most_msrs; ++i) {
    const auto e = read_physical<AreaEntry>(cpu_, entry_address(address, i));
    if (!may_load(e) || !write_msr(cpu_, e.index, e.data)) return i + 1;
  }
  return 0;
}

bool Vmx::store_msrs(u64 address, u32 count) {
  for (u32 i = 0; i < count && i < Capabilities::most_msrs; ++i) {
    const HostPhysical at = entry_address(address, i);
    auto e = read_physical<AreaEntry>(cpu_, at);
    if (!may_store(e) || !read_msr(cpu_, e.index, e.data)) return false;
    write_physical(cpu_, at + offsetof(AreaEntry, data), e.data);
  }
  return true;
}

}  // namespace bunshin::vmx
