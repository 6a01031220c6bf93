#include "core/engine/engine.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/check.h"
#include "core/engine/dispatch.h"
#include "core/events/debug.h"
#include "core/events/delivery.h"
#include "core/execute/fusion.h"
#include "core/sse/host_mxcsr.h"

namespace bunshin {

const Record* leave_block(Cpu& cpu, const Record* record) {
  cpu.state.rip = this_rip(cpu, *record);
  cpu.budget += static_cast<i64>(cpu.entry->imm) - record->position;
  cpu.left_at = record->position;
  cpu.left_length = record->length;
  return nullptr;
}

namespace {

/// RIP behind the block; outside 64-bit mode EIP wraps (the limit check comes with the next block).
u64 fallthrough_rip(const Cpu& cpu, const Record& r) {
  const u64 rip = this_rip(cpu, r);
  return cpu.mode.bits == 64 ? rip : static_cast<u32>(rip);
}

/// Stands behind a block that ended without a jump, the next instruction in the same page …
const Record* run_continue(Cpu& cpu, const Record* record) {
  return follow_link(cpu, record + 1, fallthrough_rip(cpu, *record));
}

/// … or in another.
const Record* run_continue_far(Cpu& cpu, const Record* record) { return jump(cpu, fallthrough_rip(cpu, *record)); }

/// Stands behind a truncated copy.
const Record* run_stop(Cpu& cpu, const Record* record) {
  cpu.state.rip = fallthrough_rip(cpu, *record);
  return nullptr;
}

/// A pipeline charges a block's cycles at its end: what looks at the clock begins one.
bool reads_time(const Decoded& d) {
  return d.row != nullptr && (d.row->mnemonic.starts_with("rdtsc") || d.row->mnemonic == "rdpmc");
}

Record terminator(Handler run, unsigned offset, unsigned position) {
  Record r;
  r.run = run;
  r.offset = static_cast<u16>(offset);
  r.position = static_cast<u8>(position);
  return r;
}

}  // namespace

Engine::Engine(Cpu& cpu, BlockCache& blocks, const OpcodeTable& table) : cpu_(cpu), blocks_(blocks), table_(table) {
  truncated_.reserve(BlockCache::max_instructions + 4);
}

Stop Engine::run(u64 deadline) {
  const HostMxcsr host_mxcsr(cpu_);
  if (cpu_.event_gate != nullptr) deadline = std::min(deadline, std::max(cycles_, cpu_.event_gate->next_cycle()));
  deadline = limit_instructions(deadline);
  cpu_.deadline = deadline;
  cpu_.budget = static_cast<i64>(deadline - cycles_);
  cpu_.idle_cycles = 0;
  const u64 start = cycles_;
  Stop stop = Stop::Deadline;
  while (true) {
    take_events();
    if (cpu_.accessed_device) [[unlikely]]
      settle_device_time();
    if (cpu_.state.activity != Activity::Active) {
      stop = cpu_.state.activity == Activity::Shutdown ? Stop::Shutdown : Stop::Halted;
      break;
    }
    if (requested_ != Stop::Deadline) {
      stop = std::exchange(requested_, Stop::Deadline);
      break;
    }
    if (cpu_.budget <= 0) break;
    if (must_step()) [[unlikely]] {
      if (cpu_.completed() >= cpu_.completed_limit) break;
      if (!step()) {
        stop = Stop::Observer;
        break;
      }
    } else {
      const Record* link = cpu_.open_link;
      cpu_.open_link = nullptr;
      const u64 clears = blocks_.clears;
      const Record* entry = find_block();
      if (entry != nullptr) {
        const bool alone = Block::of(entry).alone;
        if (link != nullptr && !alone && clears == blocks_.clears) {
          const_cast<Record*>(link)->imm = reinterpret_cast<u64>(entry);
        }
        ++counters_.dispatches;
        if (alone)
          run_isolated(entry, true);
        else if (!within_code_limit(entry))
          run_truncated(entry, 1, false);
        else if (enter(cpu_, entry, cpu_.state.rip))
          run_entered(entry);
        else
          run_truncated(entry, static_cast<u64>(cpu_.budget), false);
      }
      after_block();
    }
    if (cpu_.leave == Leave::Unimplemented) {
      cpu_.leave = Leave::None;
      stop = Stop::Unimplemented;
      break;
    }
  }
  cycles_ = cpu_.deadline - static_cast<u64>(cpu_.budget);
  counters_.instructions += cycles_ - start - cpu_.idle_cycles;
  return stop;
}

u64 Engine::limit_instructions(u64 deadline) {
  cpu_.completed_limit = ~u64{0};
  if (!instruction_limit_) return deadline;
  const u64 left = *instruction_limit_ - std::min(counters_.instructions, *instruction_limit_);
  // An instruction takes a cycle, or, if somebody else says how long they take, any number of them.
  if (!cpu_.observation.active()) return std::min(deadline, cycles_ + left);
  cpu_.completed_limit = cycles_ + left;
  return deadline;
}

void Engine::run_to_limit() {
  const u64 left = cpu_.completed_limit - cpu_.completed();
  if (left != 0) {
    const Record* entry = find_block();
    if (entry != nullptr) run_truncated(entry, left, false);
    after_block();
  }
  if (cpu_.completed() < cpu_.completed_limit) return;
  cpu_.deadline -= static_cast<u64>(cpu_.budget);
  cpu_.budget = 0;
}

void Engine::run_entered(const Record* entry) {
  if constexpr (chained_dispatch) {
    entry[1].run(cpu_, entry + 1);
  } else {
    for (const Record* r = entry + 1; r != nullptr;) r = r->run(cpu_, r);
  }
}

void Engine::run_truncated(const Record* entry, u64 count, bool alone) {
  count = std::min(count, entry->imm);
  truncated_.clear();
  truncated_.push_back(*entry);
  truncated_[0].imm = count;
  const Block& block = Block::of(entry);
  truncated_.insert(truncated_.end(), entry + 1, block.first() + count);
  // A comparison cut off from the jump it is fused with does its own work only.
  if (block.unfused != nullptr && count + 1 == entry->imm) truncated_.back().run = block.unfused;
  const Record& last = truncated_.back();
  truncated_.push_back(terminator(run_stop, last.offset + last.length, static_cast<unsigned>(count)));
  truncated_.push_back({});
  run_isolated(truncated_.data(), alone);
}

void Engine::run_isolated(const Record* entry, bool alone) {
  // A jump at the end must not chain into other blocks: nothing is left of the budget while it runs.
  const i64 rest = cpu_.budget - static_cast<i64>(entry->imm);
  cpu_.deadline -= static_cast<u64>(rest);
  cpu_.budget = static_cast<i64>(entry->imm);
  cpu_.alone = alone;
  cpu_.in_flight = alone ? 1 : 0;
  enter(cpu_, entry, cpu_.state.rip);
  run_entered(entry);
  cpu_.alone = false;
  cpu_.in_flight = 0;
  cpu_.open_link = nullptr;
  cpu_.budget += rest;
  cpu_.deadline += static_cast<u64>(rest);
}

void Engine::report_block() {
  const Leave leave = cpu_.leave;
  if (leave == Leave::None) {
    cpu_.observation.finish(cpu_);
  } else {
    cpu_.observation.finish(cpu_, cpu_.left_at + (leave == Leave::Repeat ? 1 : 0), cpu_.state.rip);
  }
}

void Engine::after_block() {
  if (cpu_.observation.active()) [[unlikely]] {
    report_block();
    if (cpu_.virt != nullptr) cpu_.virt->tell_of_entry();
  }
  const Leave leave = cpu_.leave;
  if (leave == Leave::None) [[likely]] {
    if (cpu_.accessed_device) settle_device_time();
    return;
  }
  if (leave == Leave::Unimplemented) return;
  cpu_.leave = Leave::None;
  cpu_.open_link = nullptr;
  // The instruction at a probe that stopped the core will be run again: it is not reached again.
  if (cpu_.state.rip == cpu_.probe_rip) cpu_.probe_passed = true;
  switch (leave) {
    case Leave::Probe: break;
    case Leave::Limit: run_to_limit(); break;
    case Leave::DeviceAccess: {
      const Record* entry = find_block();
      if (entry != nullptr) run_truncated(entry, 1, true);
      SIM_CHECK(cpu_.leave != Leave::DeviceAccess);
      after_block();
      break;
    }
    case Leave::Repeat:
      cpu_.budget -= 1;
      if (cpu_.accessed_device) settle_device_time();
      break;
    default:
      if (cpu_.accessed_device) settle_device_time();
      ++counters_.faults;
      cpu_.spend(1);
      cpu_.observation.note_event();
      deliver_exception(cpu_, cpu_.fault);
      // The stack or a descriptor table may lie in a device.
      if (cpu_.accessed_device) settle_device_time();
      break;
  }
}

void Engine::settle_device_time() {
  ++counters_.device_accesses;
  cpu_.accessed_device = false;
  cpu_.spend(cpu_.stall_cycles);
  cpu_.stall_cycles = 0;
  settle_deadline();
}

void Engine::settle_deadline() {
  u64 event = Clock{cpu_.profile.frequency}.tick_from(cpu_.environment.next_event());
  if (cpu_.event_gate != nullptr) event = std::min(event, cpu_.event_gate->next_cycle());
  if (event >= cpu_.deadline) return;
  cpu_.budget -= static_cast<i64>(cpu_.deadline - event);
  cpu_.deadline = event;
}

bool Engine::interrupt_due() const {
  if (cpu_.event_gate != nullptr) [[unlikely]]
    return cpu_.event_gate->due().kind != DueEvent::Kind::None;
  return (cpu_.apic.interrupt_pending() && (cpu_.state.flags.system & rflags::IF) != 0) ||
         (cpu_.state.nmi_pending && !cpu_.state.nmi_blocked);
}

void Engine::take_events() {
  CpuState& s = cpu_.state;
  // Asked once: between any two blocks that a guest's jumps do not chain, the engine comes here.
  const DueEvent gated = cpu_.event_gate == nullptr ? DueEvent{} : cpu_.event_gate->due();
  if (gated.before_traps) [[unlikely]] {
    take_gated_event(gated.kind);
    return;
  }
  if (s.pending_debug != 0 && !s.debug_shadow) [[unlikely]] {
    cpu_.observation.note_event();
    deliver_pending_debug(cpu_);
    return;
  }
  if (gated.kind != DueEvent::Kind::None) [[unlikely]] {
    take_gated_event(gated.kind);
    return;
  }
  if (cpu_.event_gate != nullptr || !interrupt_due()) [[likely]] {
    if (masked_interrupt_wakes()) [[unlikely]]
      cpu_.end_wait();
    return;
  }
  if (s.interrupt_shadow || s.activity == Activity::Shutdown || s.activity == Activity::WaitForSipi) return;
  cpu_.end_wait();
  cpu_.open_link = nullptr;
  ++counters_.interrupts;
  cpu_.observation.note_event();
  if (s.nmi_pending && !s.nmi_blocked) {
    s.nmi_pending = false;
    deliver_interrupt(cpu_, static_cast<u8>(Vector::NMI), EventKind::Nmi);
    return;
  }
  cpu_.environment.set_local_time(cpu_.now());
  deliver_interrupt(cpu_, cpu_.apic.acknowledge(), EventKind::External);
}

void Engine::take_gated_event(DueEvent::Kind kind) {
  Virtualization& gate = *cpu_.event_gate;
  cpu_.open_link = nullptr;
  cpu_.environment.set_local_time(cpu_.now());
  if (kind == DueEvent::Kind::Absorbed) {
    gate.take_silently();
    return;
  }
  cpu_.observation.note_event();
  if (kind == DueEvent::Kind::Exit) {
    gate.leave_guest(Fault::intercepted(), nullptr);
  } else {
    deliver_gated_event(gate, kind);
  }
  settle_deadline();
  // The monitor trap comes behind an injected event before the handler's first instruction (SDM vol. 3, 25.5.2).
  if (kind != DueEvent::Kind::Injected || cpu_.event_gate == nullptr) return;
  if (const DueEvent next = cpu_.event_gate->due(); next.before_traps) take_gated_event(next.kind);
}

void Engine::deliver_gated_event(Virtualization& gate, DueEvent::Kind kind) {
  if (kind == DueEvent::Kind::Injected) {
    const Event event = gate.injected_event();
    // An injected event does not end a wait that the entry asked for unless the manual says so: the extension has seen to it.
    deliver_injected(cpu_, event);
    return;
  }
  cpu_.end_wait();
  ++counters_.interrupts;
  if (kind == DueEvent::Kind::Nmi) {
    deliver_interrupt(cpu_, static_cast<u8>(Vector::NMI), EventKind::Nmi);
    return;
  }
  const u8 vector = kind == DueEvent::Kind::External ? cpu_.apic.acknowledge() : gate.acknowledge_virtual();
  deliver_interrupt(cpu_, vector, EventKind::External);
}

bool Engine::must_step() const {
  const CpuState& s = cpu_.state;
  return observer_ != nullptr || s.interrupt_shadow || debug_active(cpu_) ||
         (cpu_.guest != nullptr && cpu_.guest->steps());
}

bool Engine::step() {
  CpuState& s = cpu_.state;
  cpu_.open_link = nullptr;
  const bool seen = cpu_.probe_passed && s.rip == cpu_.probe_rip;
  if (observer_ != nullptr && !seen && !observer_->before_instruction(cpu_)) return false;
  const bool shadow = s.interrupt_shadow;
  const Virtualization* const world = cpu_.guest;
  BranchTrace trace;
  if (check_instruction_breakpoint(cpu_)) {
    const Record* entry = find_block();
    if (entry != nullptr) {
      const Record& instruction = *Block::of(entry).first();
      trace = BranchTrace(s, table_.row(instruction.row), instruction.length);
      run_truncated(entry, 1, true);
    }
  }
  // An iteration of a repeated instruction is a step like any other, but its breakpoint was that of the first one.
  const bool repeats = cpu_.leave == Leave::Repeat;
  if (repeats && (s.dr[7] & dr7::enables) != 0) s.flags.system |= rflags::RF;
  const bool completed = cpu_.leave == Leave::None || repeats;
  const bool stayed = cpu_.leave == Leave::Probe || cpu_.leave == Leave::Limit;
  after_block();
  cpu_.behind_mov_ss = false;
  // Behind a world switch shadows and pending traps are the other world's.
  if (stayed || world != cpu_.guest) return true;
  if (shadow) {
    s.interrupt_shadow = false;
    s.debug_shadow = false;
  }
  if (cpu_.guest != nullptr) cpu_.guest->stepped();
  if (completed) instruction_completed(cpu_, trace);
  return true;
}

bool Engine::within_code_limit(const Record* entry) const {
  if (cpu_.mode.flat) return true;
  return cpu_.state.rip + Block::of(entry).bytes - 1 <= cpu_.state.segment(Seg::CS).limit;
}

const Record* Engine::find_block() {
  const u64 rip = cpu_.state.rip;
  const u64 key = cpu_.jump_key();
  if (const Record* known = cpu_.jumps.find(rip, key); known != nullptr && known->imm != Block::stale_count)
    return known;

  const Segment& cs = cpu_.state.segment(Seg::CS);
  const bool code64 = cpu_.mode.bits == 64;
  if (code64 ? !is_canonical(rip, (cpu_.state.cr4 & cr4::LA57) != 0 ? 57 : 48) : rip > cs.limit) {
    cpu_.raise(Vector::GP, 0);
    return nullptr;
  }
  const u64 linear = code64 ? rip : static_cast<u32>(cs.base + rip);
  HostPhysical physical;
  if (!cpu_.translate_fetch(linear, physical)) return nullptr;
  const Record* entry = cached_block(linear, physical);
  if (entry == nullptr && cpu_.leave == Leave::None) entry = decode_new_block(linear, physical);
  // Every byte of the instruction must lie within the limit (SDM vol. 3, 5.3); those behind it get their turn.
  if (entry != nullptr && !cpu_.mode.flat && rip + Block::of(entry).first()->length - 1 > cs.limit) {
    cpu_.raise(Vector::GP, 0);
    return nullptr;
  }
  return entry;
}

void Engine::remember(const Record* entry) {
  // In other modes a RIP means different code for every CS base, and limits are checked as each block is entered.
  // And an instruction that must be alone is entered by the engine only.
  if (cpu_.mode.flat && !Block::of(entry).alone) cpu_.jumps.insert(cpu_.state.rip, cpu_.jump_key(), entry);
}

const Record* Engine::cached_block(u64 linear, HostPhysical physical) {
  const Block* block = blocks_.find(physical.value, cpu_.mode_key);
  if (block == nullptr) return nullptr;
  if (block->second_page != 0) {
    HostPhysical second;
    const Linear next_page = Linear(linear).page() + page_size;
    if (!cpu_.translate_fetch(next_page.value, second)) return nullptr;
    if (second.value != block->second_page) return nullptr;
  }
  remember(block->entry());
  return block->entry();
}

Handler Engine::terminator_handler(const Block& block, unsigned page_offset) const {
  if (block.alone) return run_stop;
  return page_offset < page_size && cpu_.mode.flat ? run_continue : run_continue_far;
}

const Record* Engine::decode_new_block(u64 linear, HostPhysical physical) {
  if (!cpu_.observation.active()) return decode_block(linear, physical);
  const auto start = std::chrono::steady_clock::now();
  const Record* entry = decode_block(linear, physical);
  // In integers: floating point here would set exception flags in the guest's MXCSR (core/sse/host_mxcsr.h).
  const auto taken = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start);
  counters_.decode_nanoseconds += static_cast<u64>(taken.count());
  return entry;
}

const Record* Engine::decode_block(u64 linear, HostPhysical physical) {
  const PhysicalMemory::Page page = cpu_.memory.page(physical);
  // Where there is no memory a fetch reads all ones, as the bus does, and FF FF is undefined.
  if (page.host == nullptr) {
    cpu_.raise(Vector::UD);
    return nullptr;
  }
  const auto start = static_cast<unsigned>(physical.page_offset());
  const std::span<const u8> bytes(page.host + start, page_size - start);

  Block block;
  block.physical = physical.value;
  block.mode = cpu_.mode_key;
  scratch_.clear();
  block.observed = cpu_.observation.active();
  block.probed = blocks_.is_probed(start);
  if (block.observed || block.probed) scratch_.push_back(cpu_.observation.record(block.probed));
  const std::size_t first = scratch_.size();
  unsigned offset = 0;
  bool ended = false;
  Decoded previous;
  while (!ended && scratch_.size() - first < BlockCache::max_instructions && offset < bytes.size()) {
    if (scratch_.size() != first && blocks_.is_probed(start + offset)) break;
    Decoded decoded;
    const DecodeStatus status =
        decode(table_, cpu_.profile, cpu_.mode, bytes.subspan(offset), offset, start + offset, decoded);
    if (status != DecodeStatus::Ok) {
      if (scratch_.size() != first) break;
      if (status == DecodeStatus::TooLong) {
        cpu_.raise(Vector::GP, 0);
        return nullptr;
      }
      if (!decode_crossing(linear, physical, block)) return nullptr;
      offset = block.bytes;
      ended = true;
      break;
    }
    const u32 attributes = decoded.row == nullptr ? attr::ends_block : decoded.row->attributes;
    if ((attributes & attr::alone) != 0 && scratch_.size() != first) break;
    if (block.observed && reads_time(decoded) && scratch_.size() != first) break;
    decoded.record.position = static_cast<u8>(scratch_.size() - first);
    scratch_.push_back(decoded.record);
    if (const Handler fused = fuse(previous, decoded)) {
      block.unfused = previous.record.run;
      scratch_[scratch_.size() - 2].run = fused;
    }
    previous = decoded;
    offset += decoded.record.length;
    block.alone = (attributes & attr::alone) != 0;
    ended = (attributes & (attr::ends_block | attr::alone)) != 0;
  }
  block.bytes = static_cast<u16>(offset);
  const u64 count = scratch_.size() - first;
  block.instructions = static_cast<u8>(count);
  scratch_.push_back(terminator(terminator_handler(block, start + offset), offset, static_cast<unsigned>(count)));

  Block* stored = blocks_.insert(block, scratch_, count);
  if (stored->observed) stored->entry()[1].imm = reinterpret_cast<u64>(stored);
  ++counters_.blocks_decoded;
  counters_.instructions_decoded += count;
  remember(stored->entry());
  return stored->entry();
}

bool Engine::decode_crossing(u64 linear, HostPhysical physical, Block& block) {
  std::array<u8, 15> bytes;
  const Linear next_page = Linear(linear).page() + page_size;
  HostPhysical second;
  if (!cpu_.translate_fetch(next_page.value, second)) return false;
  const unsigned in_first = static_cast<unsigned>(page_size - physical.page_offset());
  const u8* first_host = cpu_.memory.page(physical).host + physical.page_offset();
  const u8* second_host = cpu_.memory.page(second).host;
  for (unsigned i = 0; i < bytes.size(); ++i) {
    bytes[i] = i < in_first ? first_host[i] : second_host != nullptr ? second_host[i - in_first] : u8{0xff};
  }
  Decoded decoded;
  if (decode(table_, cpu_.profile, cpu_.mode, bytes, 0, page_size, decoded) != DecodeStatus::Ok)
    return cpu_.raise(Vector::GP, 0);
  scratch_.push_back(decoded.record);
  block.bytes = decoded.record.length;
  block.alone = decoded.row != nullptr && (decoded.row->attributes & attr::alone) != 0;
  block.second_page = second_host != nullptr ? second.page().value : 0;
  return true;
}

}  // namespace bunshin
