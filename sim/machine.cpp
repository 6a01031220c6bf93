#include "sim/machine.h"

#include <array>

#include <fmt/format.h>

#include "core/system/cpuid.h"
#include "sim/loader/entry_state.h"
#include "sim/vmm/hypervisor_boot.h"

namespace bunshin {

namespace {

TlbGeometry geometry_of(const TlbParameters& tlb) {
  return {
      {tlb.small.entries, tlb.small.ways}, {tlb.large.entries, tlb.large.ways}, {tlb.giant.entries, tlb.giant.ways}};
}

CpuProfile profile_of(const MachineConfig& config) {
  CpuProfile profile = config.cpu;
  const MemoryHierarchyParameters& caches = config.caches;
  profile.cores = config.machine.cores;
  profile.l1d = {caches.l1d.size, caches.l1d.ways};
  profile.l1i = {caches.l1i.size, caches.l1i.ways};
  profile.l2 = {caches.l2.size, caches.l2.ways, caches.l2.shared_by, caches.l2.inclusion == "inclusive"};
  profile.l3 = {caches.l3.size, caches.l3.ways, config.machine.cores, caches.l3.inclusion == "inclusive"};
  profile.l1d_tlb = geometry_of(config.tlb.l1d);
  profile.l1i_tlb = geometry_of(config.tlb.l1i);
  profile.l2_tlb = geometry_of(config.tlb);
  return profile;
}

PcSetup setup_of(const MachineConfig& config, const CpuProfile& profile) {
  PcSetup setup;
  setup.cores = static_cast<unsigned>(config.machine.cores);
  setup.epoch = config.machine.epoch;
  setup.apic_timer = Clock{profile.crystal};
  setup.apic = {profile.has(Feature::X2apic), profile.has(Feature::TscDeadline),
                static_cast<unsigned>(profile.physical_bits)};
  setup.cpu_signature = profile.signature();
  for (const CpuidFeatureBit& bit : cpuid_feature_bits()) {
    if (bit.leaf == 1 && bit.reg == RDX && profile.has(bit.feature)) setup.cpu_features |= u32{1} << bit.bit;
  }
  setup.disks = config.guest.disks;
  return setup;
}

PcParameters devices_of(const MachineConfig& config) {
  PcParameters devices = config.devices;
  // The second line is the hypervisor's own console.
  if (config.vmm.wanted()) devices.com2 = true;
  return devices;
}

std::vector<MemoryRange> ranges(const std::vector<Pc::AddressRange>& reserved) {
  std::vector<MemoryRange> out;
  for (const auto& range : reserved) out.push_back({range.base, range.size});
  return out;
}

/// Addresses for names. Throws ConfigError.
void resolve_symbols(RunControl::Settings& settings, const std::string& file) {
  std::optional<Symbols> symbols;
  const auto resolve = [&](RunPoint& point, const char* key) {
    if (point.symbol.empty()) return;
    if (!symbols) symbols = Symbols::from_file(file);
    try {
      point.resolve(*symbols, file);
    } catch (const std::runtime_error& e) {
      throw ConfigError(fmt::format("{}: {}", key, e.what()));
    }
  };
  for (SwitchRule& rule : settings.switches) resolve(rule.when, "machine.switch");
  for (RegionRule& rule : settings.regions) {
    resolve(rule.from, "machine.regions");
    resolve(rule.to, "machine.regions");
  }
}

/// There are many reasons for an exit, and most guests have few; without virtualization there are no guests.
void forget_guests_that_never_were(std::map<std::string, StatValue>& stats, bool virtualization) {
  std::erase_if(stats, [virtualization](const auto& entry) {
    if (!virtualization) return entry.first.find(".timing.guest_") != std::string::npos;
    const u64* count = std::get_if<u64>(&entry.second.value);
    return count != nullptr && *count == 0 && entry.first.find(".vm.exits.") != std::string::npos;
  });
}

/// Different cores draw different numbers (SplitMix64's increment keeps the seeds apart).
u64 core_seed(u64 seed, unsigned core) { return (seed + core + 1) * 0x9e3779b97f4a7c15ULL; }

}  // namespace

Machine::Machine(const MachineConfig& config, SerialPort& console, u64 max_cycles)
    : config_(config),
      profile_(profile_of(config)),
      clock_{profile_.frequency},
      memory_(config.machine.memory, Pc::pci_hole),
      pc_("pc", devices_of(config), setup_of(config, profile_), memory_, *this),
      loop_("cores", {profile_.frequency, config.machine.quantum, max_cycles}),
      blocks_(memory_) {
  memory_.set_code_watcher(&blocks_);
  create_processors();
  pc_.connect_serial(0, console);
  pc_.connect_debug_console(console);
  pc_.power_on();
  register_stats();
  create_control();
}

void Machine::create_control() {
  RunControl::Settings settings;
  settings.obey_requests = config_.machine.obey_requests;
  for (const std::string& text : config_.machine.switches) settings.switches.push_back(parse_switch(text));
  for (const std::string& text : config_.machine.regions) settings.regions.push_back(parse_region(text));
  resolve_symbols(settings, config_.guest.symbols_file());
  control_ = std::make_unique<RunControl>(settings,
                                          RegionStatistics(registry_,
                                                           [this](std::vector<u64>& values) {
                                                             if (timing_) timing_->settle();
                                                             registry_.read_counts(values);
                                                           }),
                                          [this](TimingMode mode) { switch_timing(mode); });
  blocks_.set_probes(control_->addresses());
  loop_.set_control(control_.get());
}

void Machine::switch_timing(TimingMode mode) {
  if (mode == mode_) return;
  Passed& passed = passed_[static_cast<unsigned>(mode_)];
  passed.cycles += loop_.cycle() - since_.cycles;
  passed.instructions += instructions() - since_.instructions;
  since_ = {loop_.cycle(), instructions()};
  ++switches_;
  mode_ = mode;
  // Decoded blocks know the pipeline that watched them (core/engine/observed_entry.h).
  if (mode != TimingMode::None && mode != decoded_for_) {
    blocks_.clear();
    decoded_for_ = mode;
  }
  for (const auto& p : processors_) {
    if (mode == TimingMode::None) {
      timing_->detach(*p);
    } else {
      timing_->attach(*p, mode);
    }
  }
  pc_.set_dma_timer(mode == TimingMode::None ? nullptr : timing_.get());
  loop_.set_quantum(mode == TimingMode::None ? config_.machine.quantum : config_.machine.timed_quantum);
}

void Machine::create_processors() {
  mode_ = decoded_for_ = *parse_timing_mode(config_.machine.timing);
  if (config_.may_be_timed()) {
    timing_ = std::make_unique<MachineTiming>(config_, opcodes_, memory_);
    blocks_.add_listener(timing_.get());
  }
  for (unsigned i = 0; i < config_.machine.cores; ++i) {
    processors_.push_back(std::make_unique<Processor>(profile_, config_.tlb, i, i == 0, memory_, pc_.port(i),
                                                      pc_.apic(i), loop_.environment(i), blocks_, opcodes_));
    Processor& processor = *processors_.back();
    processor.cpu().mmu.set_scheme(config_.translation.chosen(), i);
    pc_.connect_processor(i, processor);
    processor.state().rng_state = core_seed(config_.machine.seed, i);
    apply_firmware_state(processor.state(), static_cast<unsigned>(profile_.physical_bits), Pc::pci_hole);
    processor.state_changed();
    if (Virtualization* virt = processor.cpu().virt.get(); virt != nullptr) {
      exits_.push_back(std::make_unique<ExitStatistics>(virt->exit_table()));
      virt->set_listener(exits_.back().get());
    }
    if (mode_ != TimingMode::None) timing_->attach(processor, mode_);
    if (!config_.machine.engine_statistics) continue;
    work_.push_back(std::make_unique<WorkCounter>());
    processor.set_block_observer(work_.back().get());
  }
  if (mode_ != TimingMode::None) {
    pc_.set_dma_timer(timing_.get());
    loop_.set_quantum(config_.machine.timed_quantum);
  }
  loop_.set_processors(processors());
  loop_.set_local_time_listener([this](unsigned core, SimTime now) { pc_.set_local_time(core, now); });
}

LoadedGuest Machine::load_guest() {
  BootMemory memory(memory_, ranges(pc_.reserved_ranges()));
  const GuestParameters& guest = config_.guest;
  Processor& bootstrap = *processors_.front();
  if (config_.vmm.binding == "hosted") {
    hosted_ = std::make_unique<HostedVmm>(config_, loop_, bootstrap, memory, mode_);
    loop_.set_program(hosted_.get());
    return {"hypervisor hosted in the simulator", bootstrap.state().rip};
  }
  const GuestFiles files = config_.vmm.wanted()
                               ? HypervisorBoot(config_).files()
                               : GuestFiles{guest.loader, guest.kernel, guest.initrd, guest.cmdline, {}};
  const LoadedGuest loaded = bunshin::load_guest(files, memory, pc_.rsdp(), bootstrap.state());
  bootstrap.state_changed();
  return loaded;
}

void Machine::trace_walks(WalkTrace& trace) {
  for (const auto& p : processors_) {
    Cpu& cpu = p->cpu();
    CoreWalkTrace& core = trace.add(cpu);
    cpu.mmu.set_walk_listener(&core);
    if (timing_) timing_->set_walk_sink(cpu.number, &core);
  }
}

void Machine::trace_exits(ExitTrace& trace) {
  for (unsigned core = 0; core < exits_.size(); ++core) trace.add(core, *exits_[core]);
}

RunEnd Machine::run(RunSupervisor& supervisor) {
  loop_.set_supervisor(&supervisor);
  sc_core::sc_start();
  return loop_.result();
}

void Machine::end_run(RunEnd end) {
  if (!request_) request_ = std::move(end);
  for (const auto& p : processors_) p->request_stop();
}

void Machine::power_off() { end_run({ExitStatus::Success, "the guest powered off", {}}); }

void Machine::reset() { end_run({ExitStatus::GuestFailure, "the guest asked for a reset", {}}); }

void Machine::debug_exit(u32 value) {
  end_run({value == 0 ? ExitStatus::Success : ExitStatus::GuestFailure,
           fmt::format("the guest wrote {} to the debug-exit port", value), value});
}

bool Machine::type(u8 byte) { return pc_.serial_input(0, byte); }

std::string Machine::screen_text() const {
  std::array<char, VgaText::columns * VgaText::rows> cells{};
  pc_.vga().text(cells);
  std::string text;
  for (unsigned row = 0; row < VgaText::rows; ++row) {
    std::string line(&cells[row * VgaText::columns], VgaText::columns);
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::vector<Processor*> Machine::processors() const {
  std::vector<Processor*> all;
  for (const auto& p : processors_) all.push_back(p.get());
  return all;
}

u64 Machine::instructions() const {
  u64 total = 0;
  for (const auto& p : processors_) total += p->instructions();
  return total;
}

RunCounters Machine::timed_counters() const {
  RunCounters sum;
  if (!timing_) return sum;
  timing_->settle();
  for (unsigned core = 0; core < timing_->cores(); ++core) sum += timing_->state(core).counters();
  return sum;
}

std::map<std::string, StatValue> Machine::stats() const {
  if (timing_) timing_->settle();
  std::map<std::string, StatValue> stats = registry_.snapshot();
  forget_guests_that_never_were(stats, !exits_.empty());
  control_->add_to(stats, loop_.cycle());
  if (hosted_) hosted_->add_to(stats);
  return stats;
}

u64 Machine::state_hash() const {
  StateHash hash;
  memory_.hash(hash);
  for (const auto& p : processors_) p->hash(hash);
  pc_.hash(hash);
  return hash.value();
}

void Machine::register_engine_stats(unsigned core) {
  const WorkCounter& work = *work_[core];
  const EngineCounters& engine = processors_[core]->counters();
  const std::string prefix = fmt::format("core{}.engine.", core);
  const auto share = [](u64 part, u64 whole) {
    return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
  };
  registry_.add(prefix + "blocks", work.blocks, "blocks", "blocks that ran, whole or in part");
  registry_.add(prefix + "references", work.references, "references", "loads and stores, one for each page they touch");
  registry_.add(
      prefix + "instructions_per_block", [&work, share] { return share(work.instructions, work.blocks); }, "",
      "mean length of a run");
  registry_.add(
      prefix + "block_hit_rate", [&work, &engine, share] { return 1 - share(engine.blocks_decoded, work.blocks); }, "",
      "share of the blocks that were decoded already");
  registry_.add(
      prefix + "chained_rate", [&work, &engine, share] { return 1 - share(engine.dispatches, work.blocks); }, "",
      "share of the blocks entered by another block, not by the engine");
  registry_.add(
      prefix + "fast_path_rate", [&work, share] { return share(work.fast, work.references); }, "",
      "share of the loads and stores that the fast translation cache serves");
  registry_.add(
      prefix + "decode_rate",
      [&engine, share] { return 1e9 * share(engine.instructions_decoded, engine.decode_nanoseconds); },
      "instructions/s", "decoding throughput on this host");
}

u64 Machine::passed_in(TimingMode mode, bool instructions_wanted) const {
  const Passed& passed = passed_[static_cast<unsigned>(mode)];
  const u64 before = instructions_wanted ? passed.instructions : passed.cycles;
  if (mode != mode_) return before;
  return before + (instructions_wanted ? instructions() - since_.instructions : loop_.cycle() - since_.cycles);
}

void Machine::register_mode_stats() {
  registry_.add("sim.switches", switches_, "", "changes of the timing");
  for (unsigned i = 0; i < timing_mode_names.size(); ++i) {
    const auto mode = static_cast<TimingMode>(i);
    const std::string prefix = fmt::format("sim.mode.{}.", name_of(mode));
    registry_.add_count(
        prefix + "cycles", [this, mode] { return passed_in(mode, false); }, "cycles", "of the machine's clock");
    registry_.add_count(
        prefix + "instructions", [this, mode] { return passed_in(mode, true); }, "instructions",
        "completed by all cores");
  }
}

void Machine::register_stats() {
  registry_.add_count(
      "sim.cycles", [this] { return loop_.cycle(); }, "cycles", "length of the run in core cycles");
  registry_.add_count(
      "sim.instructions", [this] { return instructions(); }, "instructions", "completed by all cores");
  registry_.add(
      "sim.seconds", [this] { return seconds(); }, "s", "length of the run in simulated time");
  registry_.add(
      "sim.state_hash", [this] { return fmt::format("{:016x}", state_hash()); }, "",
      "hash of memory and of all processor and device state at the end");
  if (timing_) {
    register_mode_stats();
    registry_.add(
        "sim.timing_hash",
        [this] {
          StateHash hash;
          timing_->hash(hash);
          return fmt::format("{:016x}", hash.value());
        },
        "", "hash of all caches, TLBs, branch predictors and pipelines at the end");
  }
  registry_.add(
      "memory.resident", [this] { return memory_.resident_bytes(); }, "bytes", "host memory behind the RAM");
  registry_.add("blocks.decoded", blocks_.blocks_decoded, "blocks", "decoded");
  registry_.add("blocks.instructions", blocks_.instructions_decoded, "instructions", "decoded");
  registry_.add("blocks.invalidations", blocks_.invalidations, "blocks", "forgotten because their code was written");
  registry_.add("blocks.clears", blocks_.clears, "", "times the block cache was emptied");
  for (const auto& p : processors_) p->register_stats(registry_, fmt::format("core{}", p->cpu().number));
  if (timing_) timing_->register_stats(registry_);
  for (unsigned core = 0; core < work_.size(); ++core) register_engine_stats(core);
  for (unsigned core = 0; core < exits_.size(); ++core)
    exits_[core]->register_stats(registry_, fmt::format("core{}.vm.", core));
  pc_.register_stats(registry_);
}

}  // namespace bunshin
