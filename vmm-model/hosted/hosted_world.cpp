#include "vmm-model/hosted/hosted_world.h"

#include <stdexcept>
#include <string>

#include "base/check.h"
#include "vmm-model/machine/clock.h"

extern "C" const bunshin::u8 hosted_routines[], vmx_exit[], hosted_routines_end[];

namespace bunshin::vmm {

namespace {

constexpr u16 code_selector = 0x08, data_selector = 0x10, task_selector = 0x18;
constexpr u64 code_descriptor = 0x00af'9b00'0000'ffff, data_descriptor = 0x00cf'9300'0000'ffff,
              task_descriptor = 0x0000'8b00'0000'0067;
constexpr u64 table_entry = 3, large_page = 0x83;
constexpr unsigned vectors = 256, exceptions = 32;

/// The hidden parts that the descriptors above load (core/state.h).
constexpr u32 flat = bunshin::Segment::code_or_data | bunshin::Segment::present | bunshin::Segment::granularity;
constexpr bunshin::Segment code_segment{code_selector, flat | bunshin::Segment::long_mode | 0xb, 0xffff'ffff, 0};
constexpr bunshin::Segment data_segment{data_selector, flat | bunshin::Segment::big | 3, 0xffff'ffff, 0};
constexpr bunshin::Segment task_segment{task_selector, bunshin::Segment::present | 0xb, 0x67, 0};

}  // namespace

std::span<const u8> routine_code() {
  return {hosted_routines, static_cast<std::size_t>(hosted_routines_end - hosted_routines)};
}

u64 vmx_exit_offset() { return static_cast<u64>(vmx_exit - hosted_routines); }

void HostedWorld::store(u64 offset, u64 value) {
  machine_.processor().cpu().memory.write(HostPhysical(base + offset),
                                          {reinterpret_cast<const u8*>(&value), sizeof value});
}

// The first 4 GiB in 2 MiB pages, as the image that boots maps them (bare/entry.S).
void HostedWorld::write_page_tables() {
  constexpr u64 gibibytes = 4, entries = 512;
  const u64 pointers = tables_at + page_size, directories = pointers + page_size;
  store(tables_at, (base + pointers) | table_entry);
  for (u64 i = 0; i < gibibytes; ++i) store(pointers + i * 8, (base + directories + i * page_size) | table_entry);
  for (u64 i = 0; i < gibibytes * entries; ++i) store(directories + i * 8, i << 21 | large_page);
}

void HostedWorld::write_interrupt_table() {
  constexpr u64 interrupt_gate = u64{0x8e} << 40;
  for (unsigned vector = 0; vector < vectors; ++vector) {
    u64 entry = address_of(Routine::Spurious);
    if (vector < exceptions) entry = address_of(Routine::FirstException) + vector * routine_stride;
    if (vector == MachineClock::timer_vector) entry = address_of(Routine::Timer);
    const u64 at = interrupt_table_at + vector * 16;
    store(at, (entry & 0xffff) | u64{code_selector} << 16 | interrupt_gate | (entry >> 16 & 0xffff) << 48);
    store(at + 8, entry >> 32);
  }
}

void HostedWorld::load_state() {
  namespace state_cr0 = bunshin::cr0;
  namespace state_cr4 = bunshin::cr4;
  CpuState& s = machine_.processor().state();
  s.seg.fill(data_segment);
  s.segment(Seg::CS) = code_segment;
  s.ldtr = {0, bunshin::Segment::null, 0, 0};
  s.tr = task_segment;
  s.gdtr = {base + segments_at, 4 * 8 - 1};
  s.idtr = {base + interrupt_table_at, vectors * 16 - 1};
  s.cr0 = state_cr0::PG | state_cr0::WP | state_cr0::NE | state_cr0::MP | state_cr0::ET | state_cr0::PE;
  s.cr3 = base + tables_at;
  s.cr4 = state_cr4::PAE | state_cr4::OSFXSR | state_cr4::OSXMMEXCPT;
  if (machine_.processor().cpu().profile.has(Feature::Xsave)) s.cr4 |= state_cr4::OSXSAVE;
  s.msr.efer = bunshin::efer::NXE | bunshin::efer::LME | bunshin::efer::LMA;
  s.flags.set_value(bunshin::rflags::fixed);
  s.cpl = 0;
  s.activity = Activity::Active;
  machine_.processor().state_changed();
}

void HostedWorld::enter() {
  const std::span<const u8> code = routine_code();
  SIM_CHECK(code_at + code.size() <= bytes);
  write_page_tables();
  write_interrupt_table();
  store(segments_at, 0);
  store(segments_at + code_selector, code_descriptor);
  store(segments_at + data_selector, data_descriptor);
  store(segments_at + task_selector, task_descriptor);
  machine_.processor().cpu().memory.write(HostPhysical(base + code_at), code);
  load_state();
}

bool HostedWorld::marked(u16 code) {
  const Cpu& cpu = machine_.processor().cpu();
  // A guest may execute whatever it likes.
  if (cpu.guest != nullptr || (code != routine_done && code != routine_failed)) return false;
  failed_ = code == routine_failed;
  return true;
}

void HostedWorld::call(Routine routine) {
  CpuState& s = machine_.processor().state();
  s.rip = address_of(routine);
  s.gpr[rsp] = base + stack_top_at;
  machine_.run_to_mark();
  if (failed_) fail(routine);
}

void HostedWorld::fail(Routine routine) {
  u64 vector = 0;
  machine_.processor().cpu().memory.read(HostPhysical(gpr(rsp)), {reinterpret_cast<u8*>(&vector), sizeof vector});
  throw std::runtime_error("the hosted hypervisor's routine " + std::to_string(static_cast<unsigned>(routine)) +
                           " met exception " + std::to_string(vector));
}

}  // namespace bunshin::vmm
