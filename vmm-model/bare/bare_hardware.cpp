#include "vmm-model/bare/bare_hardware.h"

#include <cstring>

namespace bunshin::vmm::bare {

namespace {

/// Debug address registers and DR6 lie behind the extended state in its page: a VMCB does not hold the former (APM vol. 2,
/// 15.5.1), a VMCS neither.
constexpr u64 debug_registers_at = page_size - 40;

u8* at(HostPhysical address) { return reinterpret_cast<u8*>(static_cast<std::uintptr_t>(address.value)); }

bool has(u32 register_value, unsigned bit) { return (register_value >> bit & 1) != 0; }

using Word = std::uintptr_t;
constexpr bool wide = sizeof(Word) == 8;

void save_debug_registers(u64* to) {
  Word value[5];
  asm volatile("mov %%dr0, %0" : "=r"(value[0]));
  asm volatile("mov %%dr1, %0" : "=r"(value[1]));
  asm volatile("mov %%dr2, %0" : "=r"(value[2]));
  asm volatile("mov %%dr3, %0" : "=r"(value[3]));
  asm volatile("mov %%dr6, %0" : "=r"(value[4]));
  for (unsigned i = 0; i < 5; ++i) to[i] = value[i];
}

void load_debug_registers(const u64* from) {
  asm volatile("mov %0, %%dr0" : : "r"(static_cast<Word>(from[0])));
  asm volatile("mov %0, %%dr1" : : "r"(static_cast<Word>(from[1])));
  asm volatile("mov %0, %%dr2" : : "r"(static_cast<Word>(from[2])));
  asm volatile("mov %0, %%dr3" : : "r"(static_cast<Word>(from[3])));
  asm volatile("mov %0, %%dr6" : : "r"(static_cast<Word>(from[4])));
}

}  // namespace

BareHardware::BareHardware() {
  start_devices();
  constexpr Word os_xsave = 1 << 18;
  xsave_ = has(cpuid(1, 0).ecx, 26);
  tsc_aux_ = has(cpuid(0x8000'0001, 0).edx, 27);
  if (!xsave_) return;
  asm volatile("mov %0, %%cr4" : : "r"(read_control_register<4>() | os_xsave));
  states_ = cpuid(0xd, 0).eax & guest_states;
  write_xcr0(1);
}

u64 BareHardware::load(HostPhysical address, unsigned size) {
  switch (size) {
    case 1: return *at(address);
    case 2: return *reinterpret_cast<u16*>(at(address));
    case 4: return *reinterpret_cast<u32*>(at(address));
    default: return *reinterpret_cast<u64*>(at(address));
  }
}

void BareHardware::store(HostPhysical address, unsigned size, u64 value) {
  switch (size) {
    case 1: *at(address) = static_cast<u8>(value); break;
    case 2: *reinterpret_cast<u16*>(at(address)) = static_cast<u16>(value); break;
    case 4: *reinterpret_cast<u32*>(at(address)) = static_cast<u32>(value); break;
    default: *reinterpret_cast<u64*>(at(address)) = value; break;
  }
}

void BareHardware::read(HostPhysical address, std::span<u8> bytes) { memcpy(bytes.data(), at(address), bytes.size()); }

void BareHardware::write(HostPhysical address, std::span<const u8> bytes) {
  memcpy(at(address), bytes.data(), bytes.size());
}

void BareHardware::clear(HostPhysical address, u64 bytes) { memset(at(address), 0, bytes); }

void* BareHardware::allocate_object(std::size_t bytes) {
  const HostPhysical block = pool_->allocate_block(bytes, page_size);
  if (block.value == 0) return nullptr;
  clear(block, bytes);
  return at(block);
}

CpuidResult BareHardware::cpuid(u32 leaf, u32 subleaf) {
  CpuidResult r;
  asm volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
  return r;
}

void BareHardware::write_msr(u32 number, u64 value) {
  if (number == msr::tsc_aux && !tsc_aux_) return;  // a processor without RDTSCP
  bare::write_msr(number, value);
}

void BareHardware::set_xcr0(u64 value) {
  if (xsave_) write_xcr0(value);
}

// CR0.TS is the guest's where it runs in user state; it must not stop the hypervisor.
void BareHardware::save_extended_state(HostPhysical area, u64 xcr0) {
  asm volatile("clts");
  u8* page = at(area);
  if (xsave_) {
    if (xcr0 != states_) write_xcr0(states_);
    if constexpr (wide)
      asm volatile("xsave64 (%0)" : : "r"(page), "a"(~u32{0}), "d"(~u32{0}) : "memory");
    else
      asm volatile("xsave (%0)" : : "r"(page), "a"(~u32{0}), "d"(~u32{0}) : "memory");
    if (xcr0 != states_) write_xcr0(xcr0);
  } else {
    if constexpr (wide)
      asm volatile("fxsave64 (%0)" : : "r"(page) : "memory");
    else
      asm volatile("fxsave (%0)" : : "r"(page) : "memory");
  }
  save_debug_registers(reinterpret_cast<u64*>(page + debug_registers_at));
}

void BareHardware::load_extended_state(HostPhysical area, u64 xcr0) {
  asm volatile("clts");
  const u8* page = at(area);
  if (xsave_) {
    write_xcr0(states_);
    if constexpr (wide)
      asm volatile("xrstor64 (%0)" : : "r"(page), "a"(~u32{0}), "d"(~u32{0}) : "memory");
    else
      asm volatile("xrstor (%0)" : : "r"(page), "a"(~u32{0}), "d"(~u32{0}) : "memory");
    if (xcr0 != states_) write_xcr0(xcr0);
  } else {
    if constexpr (wide)
      asm volatile("fxrstor64 (%0)" : : "r"(page) : "memory");
    else
      asm volatile("fxrstor (%0)" : : "r"(page) : "memory");
  }
  load_debug_registers(reinterpret_cast<const u64*>(page + debug_registers_at));
}

u32 BareHardware::in(u16 port, unsigned size) {
  switch (size) {
    case 1: return in8(port);
    case 2: return in16(port);
    default: return in32(port);
  }
}

void BareHardware::out(u16 port, unsigned size, u32 value) {
  switch (size) {
    case 1: return out8(port, static_cast<u8>(value));
    case 2: return out16(port, static_cast<u16>(value));
    default: return out32(port, value);
  }
}

void BareHardware::stop() {
  for (;;) asm volatile("cli; hlt");
}

}  // namespace bunshin::vmm::bare
