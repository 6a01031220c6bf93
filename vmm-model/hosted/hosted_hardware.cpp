#include "vmm-model/hosted/hosted_hardware.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/virt/physical_access.h"

namespace bunshin::vmm {

namespace {

constexpr u64 line_bytes = 64, thousand = 1000;
/// Where bare/bare_hardware.cpp has them, too.
constexpr u64 debug_registers_at = page_size - 32;
/// The log of an observed core has fixed room (mmu/reference_log.h): it is replayed before it is full.
constexpr u64 most_logged = ReferenceLog::capacity / 2;

u64 low(u64 value) { return value & 0xffff'ffff; }

}  // namespace

HostedHardware::HostedHardware(HostedMachine& machine)
    : machine_(machine),
      world_(machine),
      xsave_(cpu().profile.has(Feature::Xsave)),
      tsc_aux_(cpu().profile.has(Feature::Rdtscp)) {}

void HostedHardware::start(PagePool& pool) {
  pool_ = &pool;
  world_.enter();
  start_devices();
  states_ = HostedHardware::cpuid(0xd, 0).eax & guest_states;
  set_xcr0(1);
}

void HostedHardware::execute(Routine routine) {
  machine_.pass(computed_ / thousand);
  computed_ %= thousand;
  logged_ = 0;
  world_.call(routine);
}

void HostedHardware::count_reference(HostPhysical address) {
  ++(address.page() == control_block_ ? done_.fields : done_.references);
  if (++logged_ > most_logged) execute(Routine::Nothing);
}

u64 HostedHardware::load(HostPhysical address, unsigned size) {
  count_reference(address);
  u64 value = 0;
  read_physical(cpu(), address, {reinterpret_cast<u8*>(&value), size});
  return value;
}

void HostedHardware::store(HostPhysical address, unsigned size, u64 value) {
  count_reference(address);
  write_physical(cpu(), address, {reinterpret_cast<const u8*>(&value), size});
}

void HostedHardware::count_lines(u64 bytes) {
  const u64 lines = (bytes + 2 * line_bytes - 1) / line_bytes;
  done_.lines += lines;
  logged_ += lines;
  if (logged_ > most_logged) execute(Routine::Nothing);
}

void HostedHardware::read(HostPhysical address, std::span<u8> bytes) {
  while (!bytes.empty()) {
    const std::size_t part = std::min(bytes.size(), std::size_t{page_size});
    count_lines(part);
    read_physical(cpu(), address, bytes.first(part));
    address = address + part;
    bytes = bytes.subspan(part);
  }
}

void HostedHardware::write(HostPhysical address, std::span<const u8> bytes) {
  while (!bytes.empty()) {
    const std::size_t part = std::min(bytes.size(), std::size_t{page_size});
    count_lines(part);
    write_physical(cpu(), address, bytes.first(part));
    address = address + part;
    bytes = bytes.subspan(part);
  }
}

void HostedHardware::clear(HostPhysical address, u64 bytes) {
  static constexpr std::array<u8, page_size> zeros{};
  for (u64 done = 0; done < bytes; done += page_size) {
    write(address + done, std::span(zeros).first(std::min(bytes - done, page_size)));
  }
}

// It takes the pages that the image that boots would take, so that all else lies where it lies there.
void* HostedHardware::allocate_object(std::size_t bytes) {
  const HostPhysical block = pool_->allocate_block(bytes, page_size);
  if (block.value == 0) return nullptr;
  count_lines(bytes);
  objects_.emplace_back(new (std::align_val_t{page_size}) u8[bytes]);
  std::memset(objects_.back().get(), 0, bytes);
  return objects_.back().get();
}

CpuidResult HostedHardware::cpuid(u32 leaf, u32 subleaf) {
  world_.gpr(rax) = leaf;
  world_.gpr(rcx) = subleaf;
  execute(Routine::Cpuid);
  return {static_cast<u32>(world_.gpr(rax)), static_cast<u32>(world_.gpr(rbx)), static_cast<u32>(world_.gpr(rcx)),
          static_cast<u32>(world_.gpr(rdx))};
}

u64 HostedHardware::read_msr(u32 number) {
  world_.gpr(rcx) = number;
  execute(Routine::ReadMsr);
  return low(world_.gpr(rax)) | world_.gpr(rdx) << 32;
}

void HostedHardware::write_msr(u32 number, u64 value) {
  if (number == msr::tsc_aux && !tsc_aux_) return;  // a processor without RDTSCP
  world_.gpr(rcx) = number;
  world_.gpr(rax) = low(value);
  world_.gpr(rdx) = value >> 32;
  execute(Routine::WriteMsr);
}

void HostedHardware::set_xcr0(u64 value) {
  if (!xsave_) return;
  world_.gpr(rcx) = 0;
  world_.gpr(rax) = low(value);
  world_.gpr(rdx) = value >> 32;
  execute(Routine::SetExtendedControl);
}

void HostedHardware::execute_on_page(Routine routine, HostPhysical page) {
  world_.gpr(rdi) = page.value;
  world_.gpr(rax) = world_.gpr(rdx) = low(~u64{0});
  execute(routine);
}

void HostedHardware::save_extended_state(HostPhysical area, u64 xcr0) {
  if (xcr0 != states_) set_xcr0(states_);
  execute_on_page(xsave_ ? Routine::Xsave : Routine::Fxsave, area);
  if (xcr0 != states_) set_xcr0(xcr0);
  execute_on_page(Routine::SaveDebugRegisters, area + debug_registers_at);
}

void HostedHardware::load_extended_state(HostPhysical area, u64 xcr0) {
  set_xcr0(states_);
  execute_on_page(xsave_ ? Routine::Xrstor : Routine::Fxrstor, area);
  if (xcr0 != states_) set_xcr0(xcr0);
  execute_on_page(Routine::LoadDebugRegisters, area + debug_registers_at);
}

HostPhysical HostedHardware::begin_switch(const GeneralRegisters& registers) {
  compute(mode_costs().world_switch, counters_.world_switch);
  const HostPhysical at = HostedWorld::scratch();
  cpu().memory.write(at, {reinterpret_cast<const u8*>(&registers), sizeof registers});
  return at;
}

void HostedHardware::end_switch(GeneralRegisters& registers) {
  cpu().memory.read(HostedWorld::scratch(), {reinterpret_cast<u8*>(&registers), sizeof registers});
}

void HostedHardware::run_vmcb(HostPhysical vmcb, HostPhysical host_state, GeneralRegisters& registers) {
  control_block_ = vmcb;
  const HostPhysical area = begin_switch(registers);
  world_.gpr(rdi) = vmcb.value;
  world_.gpr(rsi) = host_state.value;
  world_.gpr(rdx) = area.value;
  execute(Routine::RunVmcb);
  end_switch(registers);
}

void HostedHardware::invalidate_guest_page(Linear address, u32 asid) {
  world_.gpr(rax) = address.value;
  world_.gpr(rcx) = asid;
  execute(Routine::InvalidateGuestPage);
}

void HostedHardware::compute(u64 cost, ComputeCounters::Work& work) {
  const ComputeCosts& costs = machine_.costs();
  ++work.times;
  work.references += done_.references;
  work.fields += done_.fields;
  work.lines += done_.lines;
  computed_ += cost + done_.references * costs.reference + done_.fields * costs.field + done_.lines * costs.line;
  for (unsigned i = 0; i < work_kinds; ++i) {
    work.work[i] += done_.work[i];
    computed_ += done_.work[i] * costs.work[i];
  }
  done_ = {};
}

void HostedHardware::working_for(std::string_view paging) {
  for (unsigned i = 0; i < paging_choices; ++i) {
    if (name_of(static_cast<PagingChoice>(i)) == paging) mode_ = i;
  }
}

void HostedHardware::exit_handled(ExitReason reason) {
  const auto number = static_cast<unsigned>(reason);
  compute(mode_costs().exit[number], counters_.exit[number]);
  // The handler's end is timed, and then it is asked how late it is; after that comes what is done before each entry.
  stamps_owed_ = 2;
}

u32 HostedHardware::in(u16 port, unsigned size) {
  world_.gpr(rdx) = port;
  execute(size == 1 ? Routine::In8 : size == 2 ? Routine::In16 : Routine::In32);
  const u64 value = world_.gpr(rax);
  return static_cast<u32>(size == 4 ? value : value & ((1u << size * 8) - 1));
}

void HostedHardware::out(u16 port, unsigned size, u32 value) {
  world_.gpr(rdx) = port;
  world_.gpr(rax) = value;
  execute(size == 1 ? Routine::Out8 : size == 2 ? Routine::Out16 : Routine::Out32);
}

u32 HostedHardware::read_register(u64 address) {
  world_.gpr(rdi) = address;
  execute(Routine::Load32);
  return static_cast<u32>(world_.gpr(rax));
}

void HostedHardware::write_register(u64 address, u32 value) {
  world_.gpr(rdi) = address;
  world_.gpr(rax) = value;
  execute(Routine::Store32);
}

u64 HostedHardware::time_stamp() {
  execute(Routine::ReadTimeStamp);
  const u64 ticks = low(world_.gpr(rax)) | world_.gpr(rdx) << 32;
  if (stamps_owed_ != 0 && --stamps_owed_ == 0) compute(mode_costs().entry, counters_.entry);
  return ticks;
}

void HostedHardware::stop() {
  for (;;) execute(Routine::WaitForInterrupt);
}

}  // namespace bunshin::vmm
