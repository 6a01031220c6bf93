#include "core/processor.h"

#include "core/system/msr.h"

namespace bunshin {

Processor::Processor(const CpuProfile& profile, const TlbParameters& tlb, unsigned number, bool bootstrap,
                     PhysicalMemory& memory, BusPort& bus, LocalApic& apic, CoreEnvironment& environment,
                     BlockCache& blocks, const OpcodeTable& table)
    : cpu_(profile, tlb, number, memory, bus, apic, environment),
      engine_(cpu_, blocks, table),
      table_(table),
      bootstrap_(bootstrap) {
  blocks.add_listener(this);
  reset();
}

namespace {

Segment real_mode_segment(u16 selector, u32 attributes) {
  return {selector, attributes | Segment::present, 0xffff, u64{selector} << 4};
}

constexpr u32 read_write_data = Segment::code_or_data | 3;
constexpr u32 readable_code = Segment::code_or_data | 0xb;

/// What RESET and INIT have in common (SDM vol. 3, table 9-1); INIT leaves caches, MSRs, x87 and SSE state alone.
void init_state(CpuState& s, const CpuProfile& profile, u64 kept_cr0_bits) {
  s.gpr = {};
  s.gpr[CpuState::page_slot] = page_size;
  s.gpr[RDX] = profile.signature();
  s.rip = 0xfff0;
  s.flags.set_value(rflags::fixed);
  s.seg.fill(real_mode_segment(0, read_write_data));
  s.segment(Seg::CS) = {0xf000, readable_code | Segment::present, 0xffff, 0xffff0000};
  s.ldtr = {0, 2 | Segment::present, 0xffff, 0};
  s.tr = {0, 0xb | Segment::present, 0xffff, 0};
  s.gdtr = s.idtr = {0, 0xffff};
  s.cr0 = cr0::ET | kept_cr0_bits;
  s.cr2 = s.cr3 = s.cr4 = 0;
  s.dr = {};
  s.dr[6] = 0xffff0ff0;
  s.dr[7] = 0x400;
  s.msr.efer = 0;
  s.pdpte = {};
  s.cpl = 0;
  s.interrupt_shadow = s.debug_shadow = s.nmi_blocked = s.nmi_pending = false;
  s.pending_debug = 0;
}

}  // namespace

void Processor::reset() {
  cpu_.disarm_monitor();
  const u64 rng = cpu_.state.rng_state;
  cpu_.state = CpuState();
  cpu_.state.rng_state = rng;
  cpu_.state.msr.tsc_aux = 0;
  // Left so by the firmware, and read-only on later processors: software warns of a TSC that follows the core's clock.
  if (!cpu_.profile.intel() && cpu_.profile.has(Feature::InvariantTsc)) cpu_.state.msr.hwcr = hwcr::tsc_at_p0;
  init_state(cpu_.state, cpu_.profile, cr0::CD | cr0::NW);
  if (cpu_.virt != nullptr) cpu_.virt->reset();
  cpu_.state.activity = bootstrap_ ? Activity::Active : Activity::WaitForSipi;
  state_changed();
}

void Processor::state_changed() {
  cpu_.state.gpr[CpuState::zero_slot] = 0;
  cpu_.state.gpr[CpuState::page_slot] = page_size;
  cpu_.mmu.flush_all();
  cpu_.update_mode();
}

void Processor::set_block_observer(BlockObserver* observer) {
  cpu_.observation.set_observer(observer);
  if (observer != nullptr) observer->attached(engine_.cycles());
  cpu_.open_link = nullptr;
  cpu_.mmu.set_log(observer == nullptr ? nullptr : &cpu_.observation.log());
  cpu_.update_mode();
}

void Processor::init() {
  init_pending_ = true;
  sipi_vector_.reset();
  engine_.request_stop(Stop::Requested);
}

Stop Processor::run(u64 deadline) {
  take_init_and_sipi();
  return engine_.run(deadline);
}

void Processor::take_init_and_sipi() {
  CpuState& s = cpu_.state;
  InitAction init = init_pending_ ? InitAction::Take : InitAction::Hold;
  if (init_pending_ && cpu_.virt != nullptr) init = cpu_.virt->init_arrived();
  if (init != InitAction::Hold) init_pending_ = false;
  if (init == InitAction::Take) {
    cpu_.apic.init_reset();
    cpu_.disarm_monitor();
    init_state(s, cpu_.profile, s.cr0 & (cr0::CD | cr0::NW));
    s.activity = bootstrap_ ? Activity::Active : Activity::WaitForSipi;
    state_changed();
  }
  if (sipi_vector_ && cpu_.guest != nullptr && cpu_.guest->startup_arrived(*sipi_vector_)) sipi_vector_.reset();
  if (sipi_vector_ && s.activity == Activity::WaitForSipi) {
    const u8 vector = *sipi_vector_;
    s.segment(Seg::CS) = {static_cast<u16>(vector << 8), readable_code | Segment::present, 0xffff, u64{vector} << 12};
    s.rip = 0;
    s.activity = Activity::Active;
    cpu_.update_mode();
  }
  sipi_vector_.reset();
}

bool Processor::idle() const {
  return cpu_.state.activity != Activity::Active && !init_pending_ && !sipi_vector_ && !engine_.interrupt_due() &&
         !engine_.masked_interrupt_wakes();
}

bool Processor::dead() const {
  const CpuState& s = cpu_.state;
  if (cpu_.event_gate != nullptr) return false;
  if (s.activity == Activity::Shutdown || s.activity == Activity::WaitForSipi) return true;
  return s.activity == Activity::Halted && (s.flags.system & rflags::IF) == 0;
}

void Processor::blocks_cleared() {
  cpu_.jumps.clear();
  cpu_.open_link = nullptr;
  cpu_.entry = nullptr;
}

void Processor::register_stats(StatRegistry& registry, const std::string& prefix) const {
  const EngineCounters& c = engine_.counters();
  registry.add(prefix + ".instructions", c.instructions, "instructions", "instructions completed");
  registry.add_count(
      prefix + ".cycles", [this] { return engine_.cycles(); }, "cycles", "of the core's clock, halted time included");
  registry.add(prefix + ".dispatches", c.dispatches, "blocks",
               "blocks entered by the engine rather than by another block");
  registry.add(prefix + ".interrupts", c.interrupts, "interrupts", "external interrupts and NMIs delivered");
  registry.add(prefix + ".faults", c.faults, "faults", "faults delivered");
  registry.add(prefix + ".device_accesses", c.device_accesses, "accesses", "instructions that accessed a device");
  cpu_.mmu.register_stats(registry, prefix + ".");
  if (cpu_.virt != nullptr) cpu_.virt->register_stats(registry, prefix + ".");
}

namespace {

void hash_segment(StateHash& hash, const Segment& s) {
  hash.add(u64{s.selector} | u64{s.attributes} << 32);
  hash.add(s.limit);
  hash.add(s.base);
}

}  // namespace

void Processor::hash(StateHash& hash) const {
  const CpuState& s = cpu_.state;
  for (unsigned i = 0; i < 16; ++i) hash.add(s.gpr[i]);
  hash.add(s.rip);
  hash.add(s.flags.value());
  for (const Segment& segment : s.seg) hash_segment(hash, segment);
  hash_segment(hash, s.ldtr);
  hash_segment(hash, s.tr);
  for (const TableRegister& t : {s.gdtr, s.idtr}) {
    hash.add(t.base);
    hash.add(t.limit);
  }
  for (const u64 v : {s.cr0, s.cr2, s.cr3, s.cr4, s.xcr0, u64{s.pkru}, s.tsc_offset, u64{s.mxcsr}}) hash.add(v);
  for (const u64 v : s.dr) hash.add(v);
  for (const u64 v : s.pdpte) hash.add(v);
  const Msrs& m = s.msr;
  for (const u64 v : {m.efer,       m.star,          m.lstar,           m.cstar,        m.sfmask,     m.kernel_gs_base,
                      m.tsc_aux,    m.sysenter_cs,   m.sysenter_esp,    m.sysenter_eip, m.pat,        m.misc_enable,
                      m.debugctl,   m.spec_ctrl,     m.feature_control, m.mcg_status,   m.tsc_adjust, m.mtrr_def_type,
                      m.branch_top, m.branch_select, m.exception_from,  m.exception_to, m.mperf_base, m.aperf_base}) {
    hash.add(v);
  }
  for (const u64 v : m.branch_from) hash.add(v);
  for (const u64 v : m.branch_to) hash.add(v);
  for (const u64 v : m.mtrr_fixed) hash.add(v);
  for (const u64 v : m.mtrr_variable) hash.add(v);
  const X87State& f = s.x87;
  for (const X87Register& r : f.registers) {
    hash.add(r.mantissa);
    hash.add(r.sign_exponent);
  }
  hash.add(u64{f.control} | u64{f.status} << 16 | u64{f.top} << 32 | u64{f.empty} << 40 | u64{f.opcode} << 48);
  hash.add(u64{f.ip_selector} | u64{f.operand_selector} << 16);
  hash.add(f.ip);
  hash.add(f.operand);
  for (const Xmm& x : s.xmm) hash.add(std::span<const u8>(x.bytes));
  for (const Xmm& x : s.ymm_high) hash.add(std::span<const u8>(x.bytes));
  hash.add(u64{static_cast<u8>(s.activity)} | u64{s.cpl} << 8 | u64{s.interrupt_shadow} << 16 |
           u64{s.debug_shadow} << 17 | u64{s.nmi_blocked} << 18 | u64{s.nmi_pending} << 19);
  hash.add(s.pending_debug);
  hash.add(s.monitored_line);
  hash.add(s.masked_interrupts_wake);
  hash.add(engine_.cycles());
  if (cpu_.virt != nullptr) cpu_.virt->hash(hash);
}

}  // namespace bunshin
