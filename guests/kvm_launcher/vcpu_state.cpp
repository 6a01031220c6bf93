// What a virtual processor is, and the state in which it begins.

#include <linux/kvm_para.h>
#include <cstddef>
#include <cstring>

#include "guests/kvm_launcher/failure.h"
#include "guests/kvm_launcher/vcpu.h"

namespace launcher {

namespace {

constexpr unsigned max_leaves = 256;
constexpr std::uint32_t tsc_deadline = 1u << 24;

/// kvm_cpuid2 as C lays it out: in C++ its flexible array has another offset, and so the requests another number.
struct LeavesHead {
  std::uint32_t count, padding;
};
struct Leaves {
  LeavesHead head;
  kvm_cpuid_entry2 entries[max_leaves];
};
static_assert(offsetof(Leaves, entries) == 8);
constexpr unsigned long get_supported_cpuid = _IOWR(KVMIO, 0x05, LeavesHead),
                        set_cpuid2 = _IOW(KVMIO, 0x90, LeavesHead);

void adapt_leaf(kvm_cpuid_entry2& leaf, const Options& options, unsigned index, bool deadline_timer) {
  switch (leaf.function) {
    case 1:
      // KVM says of the emulated APIC's deadline mode by its capability only.
      if (deadline_timer) leaf.ecx |= tsc_deadline;
      leaf.ebx = (leaf.ebx & 0x0000ffff) | options.processors << 16 | index << 24;
      break;
    case 0xb:
    case 0x1f: leaf.edx = index; break;
    case 0x8000001e: leaf.eax = index; break;
    default: break;
  }
}

kvm_segment segment(std::uint16_t selector, std::uint8_t type, bool code) {
  kvm_segment s{};
  s.selector = selector;
  s.limit = 0xffffffff;
  s.type = type;
  s.present = 1;
  s.s = 1;
  s.g = 1;
  s.l = code ? 1 : 0;
  s.db = code ? 0 : 1;
  return s;
}

/// A null entry, a free one, 64-bit code and data, as the boot protocol asks for (__BOOT_CS 0x10, __BOOT_DS 0x18).
constexpr std::uint64_t descriptors[] = {0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff};

void write_page_tables(const Machine& machine) {
  constexpr std::uint64_t page = 4096, large = 2 << 20, present_writable = 3, large_page = 0x83;
  constexpr unsigned entries = 512, directories = 4;
  auto* table = reinterpret_cast<std::uint64_t*>(
      machine.memory(place::page_tables, (2 + directories) * page, "the first page tables"));
  memset(table, 0, 2 * page);
  table[0] = (place::page_tables + page) | present_writable;
  for (unsigned i = 0; i < directories; ++i) {
    table[entries + i] = (place::page_tables + (2 + i) * page) | present_writable;
    for (unsigned j = 0; j < entries; ++j) {
      table[(2 + i) * entries + j] = (std::uint64_t{i} * entries + j) * large | large_page;
    }
  }
}

}  // namespace

void VirtualProcessor::set_cpuid(const Machine& machine, const Options& options, unsigned index) const {
  Leaves supported{}, offered{};
  supported.head.count = max_leaves;
  machine.system_control(get_supported_cpuid, "KVM_GET_SUPPORTED_CPUID", reinterpret_cast<std::uint64_t>(&supported));
  const bool deadline_timer =
      machine.machine_control(KVM_CHECK_EXTENSION, "KVM_CHECK_EXTENSION", KVM_CAP_TSC_DEADLINE_TIMER) > 0;
  for (unsigned i = 0; i < supported.head.count; ++i) {
    kvm_cpuid_entry2 leaf = supported.entries[i];
    if (!options.paravirtual && leaf.function >> 8 == KVM_CPUID_SIGNATURE >> 8) continue;
    adapt_leaf(leaf, options, index, deadline_timer);
    offered.entries[offered.head.count++] = leaf;
  }
  control(set_cpuid2, "KVM_SET_CPUID2", &offered);
}

void VirtualProcessor::set_system_registers() const {
  memcpy(machine_.memory(place::gdt, sizeof descriptors, "descriptors"), descriptors, sizeof descriptors);
  write_page_tables(machine_);
  kvm_sregs s{};
  control(KVM_GET_SREGS, "KVM_GET_SREGS", &s);
  s.cs = segment(0x10, 0xb, true);
  s.ds = s.es = s.fs = s.gs = s.ss = segment(0x18, 3, false);
  s.gdt.base = place::gdt;
  s.gdt.limit = sizeof descriptors - 1;
  s.idt.limit = 0;
  s.cr0 = 1u << 31 | 1u << 5 | 1u << 4 | 1u;
  s.cr3 = place::page_tables;
  s.cr4 = 1u << 5;
  s.efer = 1u << 8 | 1u << 10;
  control(KVM_SET_SREGS, "KVM_SET_SREGS", &s);
}

void VirtualProcessor::set_registers(const kvm_regs& registers) const {
  kvm_regs copy = registers;
  copy.rflags = 2;
  copy.rsp = place::stack;
  control(KVM_SET_REGS, "KVM_SET_REGS", &copy);
}

void VirtualProcessor::enter_at(std::uint64_t address) const {
  set_system_registers();
  kvm_regs registers{};
  registers.rip = address;
  registers.rsi = place::boot_parameters;
  set_registers(registers);
}

void VirtualProcessor::enter_loop(std::uint64_t address, std::uint64_t rounds, std::uint64_t result) const {
  set_system_registers();
  kvm_regs registers{};
  registers.rip = address;
  registers.rdi = result;
  registers.rsi = rounds;
  set_registers(registers);
}

}  // namespace launcher
