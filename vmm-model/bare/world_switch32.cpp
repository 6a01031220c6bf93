// The world switch that 32-bit code makes: to guests in user state. The extensions are for the 64-bit image.

#include <cstring>

#include "vmm-model/bare/bare_hardware.h"
#include "vmm-model/bare/interrupts.h"

extern "C" {
extern char user_switch_code[], enter_user[];
extern bunshin::u64 page_directories[], page_directory_pointers[];
}

namespace bunshin::vmm::bare {

namespace {

constexpr unsigned vectors = 256, entry_bytes = 16, task_state_at = 0x800, own_words_at = 0x900;
constexpr u16 interrupt_gate = 0x8e00;
constexpr u64 present_writable = 3;

struct [[gnu::packed]] TablePointer {
  u16 limit;
  u32 base;
};

template <class T>
T* at(u64 address) {
  return reinterpret_cast<T*>(static_cast<std::uintptr_t>(address));
}

u64 address_of(const void* object) { return reinterpret_cast<std::uintptr_t>(object); }

/// Gates that software in a guest cannot name, and the stack that events in a guest arrive on; no port is permitted.
void fill_tables(u8* page) {
  u32* const gates = reinterpret_cast<u32*>(page);
  for (unsigned i = 0; i < vectors; ++i) {
    const u32 entry = switch_area::page(0) + i * entry_bytes;
    gates[2 * i] = u32{switch_area::code_selector} << 16 | (entry & 0xffff);
    gates[2 * i + 1] = (entry & 0xffff'0000) | interrupt_gate;
  }
  u32* const task = reinterpret_cast<u32*>(page + task_state_at);
  task[1] = switch_area::page(switch_area::stack_page + 1);
  task[2] = switch_area::data_selector;
  task[25] = 0x68 << 16;
  reinterpret_cast<u32*>(page + own_words_at)[1] = static_cast<u32>(address_of(page_directory_pointers));
}

void load_cr0(u32 wanted) {
  const u32 now = read_control_register<0>();
  const u32 mask = cr0::MP | cr0::EM | cr0::TS;
  if (((now ^ wanted) & mask) != 0) asm volatile("mov %0, %%cr0" : : "r"((now & ~mask) | (wanted & mask)));
}

}  // namespace

bool BareHardware::switch_pages(std::array<HostPhysical, switch_area::shared_pages>& pages) {
  const u64 code = address_of(user_switch_code);
  const HostPhysical tables = pool_->allocate(), stack = pool_->allocate();
  if (tables.value == 0 || stack.value == 0) return false;
  fill_tables(at<u8>(tables.value));
  user_state_ = at<UserState>(stack.value + page_size - sizeof(UserState));
  pages = {HostPhysical(code), HostPhysical(code + page_size), tables, stack};
  return true;
}

// The hypervisor sees the area of the guest that ran last, and goes on with its descriptor tables: they hold its segments.
void BareHardware::run_user_state(const UserSpace& space) {
  u64& slot = page_directories[switch_area::linear >> 21];
  if ((slot & ~(page_size - 1)) != space.area_table.value) {
    slot = space.area_table.value | present_writable;
    gdt_ = 0;
    // Pages of the area are global: only a change of CR4.PGE forgets them (SDM vol. 3, 4.10.4.1).
    const u32 value = read_control_register<4>();
    asm volatile("mov %0, %%cr4; mov %1, %%cr4" : : "r"(value ^ 0x80), "r"(value) : "memory");
  }
  const TablePointer gdt{switch_area::table_bytes - 1, space.gdt};
  const TablePointer idt{vectors * 8 - 1, switch_area::page(switch_area::tables_page)};
  load_cr0(space.cr0);
  // These instructions are slow. The interrupt table is the same for all guests, and one empty LDT as good as another.
  const bool first = gdt_ == 0, other_table = gdt_ != space.gdt, other_use = ldt_in_use_ != space.ldt_in_use;
  if (first) asm volatile("lidt %0" : : "m"(idt) : "memory");
  if (other_table) asm volatile("lgdt %0" : : "m"(gdt) : "memory");
  if (first || other_use || (other_table && space.ldt_in_use)) asm volatile("lldt %0" : : "r"(space.ldt) : "memory");
  gdt_ = space.gdt;
  ldt_in_use_ = space.ldt_in_use;
  const auto enter = at<void(u32)>(switch_area::page(0) + (address_of(enter_user) - address_of(user_switch_code)));
  enter(static_cast<u32>(space.root.value));
  if (user_state_->vector == MachineClock::timer_vector) write_register(MachineClock::end_of_interrupt, 0);
}

u32 BareHardware::fault_address() { return read_control_register<2>(); }

void BareHardware::run_vmcb(HostPhysical, HostPhysical, GeneralRegisters&) { fatal("AMD-V in 32-bit code"); }
void BareHardware::invalidate_guest_page(Linear, u32) {}

}  // namespace bunshin::vmm::bare
