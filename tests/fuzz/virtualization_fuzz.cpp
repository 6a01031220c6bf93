// Hostile hypervisors and guests (hostile_world.h): control structures, nested and guest tables, bitmaps, events and code of which
// the input changes what it likes, before the first entry and behind each exit. Nothing may break the simulator, timed or not.
// With BUNSHIN_FUZZ_REACH in the environment it says at its end how far the inputs came.

#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>
#include <string>

#include "sim/machine.h"
#include "tests/fuzz/hostile_world.h"
#include "tests/fuzz/simulation.h"
#include "tests/fuzz/target.h"

namespace {

using namespace bunshin;

constexpr u64 longest_run = 4'000;

struct Console final : SerialPort {
  void transmit(u8) override {}
};

class Supervisor final : public RunSupervisor {
 public:
  explicit Supervisor(const Machine& machine) : machine_(machine) {}
  std::optional<RunEnd> look(u64) override { return machine_.guest_request(); }
  void idle(SimTime) override {}
  bool wait_for_input() override { return false; }

 private:
  const Machine& machine_;
};

/// How far the inputs of one extension came.
class Reach final : public TransitionListener {
 public:
  explicit Reach(const char* name) : name_(name) {}
  ~Reach() {
    if (std::getenv("BUNSHIN_FUZZ_REACH") == nullptr) return;
    std::fprintf(stderr, "%s: %lu inputs, %lu entered a guest; %lu entries, %lu exits, %zu causes, %zu rules broken\n",
                 name_, inputs_, entered_, entries_, exits_, causes_.size(), rules_.size());
  }
  Reach(const Reach&) = delete;
  Reach& operator=(const Reach&) = delete;

  void begin() {
    ++inputs_;
    first_ = true;
  }
  void entered(const Cpu& /*cpu*/) override {
    ++entries_;
    entered_ += first_ ? 1 : 0;
    first_ = false;
  }
  void left(const Cpu& /*cpu*/, const VmExit& exit) override {
    ++exits_;
    causes_.insert(exit.cause);
    if (!exit.broken_rule.empty()) rules_.insert(exit.broken_rule);
  }
  void refused(const Cpu& /*cpu*/, const RefusedEntry& entry) override { rules_.insert(entry.broken_rule); }

 private:
  const char* name_;
  unsigned long inputs_ = 0, entered_ = 0, entries_ = 0, exits_ = 0;
  bool first_ = false;
  std::set<u32> causes_;
  std::set<std::string_view> rules_;
};

struct Shape {
  std::string profile;
  bool vmx = false;
  TimingMode timing = TimingMode::None;
};

Shape read_shape(fuzz::Input& input) {
  static const std::string intel[] = {"skylake", "generic", "haswell", "nehalem", "merom", "p4-672"};
  static const std::string amd[] = {"zen3", "generic-amd", "barcelona"};
  Shape shape;
  shape.vmx = input.byte() % 8 < 5;
  shape.profile = shape.vmx ? input.pick(intel) : input.pick(amd);
  constexpr TimingMode modes[] = {TimingMode::None, TimingMode::None, TimingMode::InOrder, TimingMode::OutOfOrder};
  shape.timing = input.pick(modes);
  return shape;
}

const MachineConfig& config_of(const Shape& shape) {
  static std::map<std::string, MachineConfig> known;
  const std::string timing{name_of(shape.timing)};
  const auto found = known.find(shape.profile + timing);
  if (found != known.end()) return found->second;
  const std::string configs = BUNSHIN_CONFIGS;
  MachineConfig config = read_config(configs + "/experiment/multiboot.yaml",
                                     {"include=" + configs + "/cpu/" + shape.profile + ".yaml", "machine.memory=16MiB",
                                      "cpu.frequency=10MHz", "machine.timing=" + timing});
  return known.emplace(shape.profile + timing, config).first->second;
}

void enter_long_mode(Processor& processor) {
  using namespace fuzz::layout;
  CpuState& s = processor.state();
  constexpr u32 flat = Segment::code_or_data | Segment::present | Segment::granularity;
  s.seg.fill({0x10, flat | Segment::big | 3, 0xffff'ffff, 0});
  s.segment(Seg::CS) = {0x08, flat | Segment::long_mode | 0xb, 0xffff'ffff, 0};
  s.gdtr = {gdt, 0x3f};
  s.idtr = {idt, 0xfff};
  s.cr3 = host_tables;
  s.cr4 = cr4::PAE | cr4::OSFXSR;
  s.cr0 |= cr0::PE | cr0::PG;
  s.cr0 &= ~(cr0::CD | cr0::NW);
  s.msr.efer = efer::LME | efer::LMA;
  s.rip = host_code;
  s.gpr[RSP] = host_stack;
}

void run_input(fuzz::Input input) {
  static Reach vmx("VT-x"), svm("AMD-V");
  const fuzz::Simulation simulation;
  const Shape shape = read_shape(input);
  const MachineConfig& config = config_of(shape);
  Console console;
  Machine machine(config, console, longest_run * (shape.timing == TimingMode::None ? 1 : 20));
  Processor& processor = *machine.processors().front();
  enter_long_mode(processor);
  (shape.vmx ? fuzz::make_vmx_world : fuzz::make_svm_world)(processor.cpu(), input);
  processor.state_changed();
  Reach& reach = shape.vmx ? vmx : svm;
  reach.begin();
  processor.cpu().virt->set_listener(&reach);
  Supervisor supervisor(machine);
  static_cast<void>(machine.run(supervisor));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
  run_input(fuzz::Input(data, size));
  return 0;
}
