// A software-filled TLB: a miss traps to a handler below the operating system, as Alpha's PALcode and MIPS's refill handler
// are (Nagle et al., "Design Tradeoffs for Software-Managed TLBs", ISCA 1993). The handler goes down the same page tables by
// ordinary loads, through the data caches like any others, and sets A and D by ordinary stores. There are no
// paging-structure caches. The operating system above notices nothing. A hypervisor that wants to fills the TLB for its guests
// itself (mmu/software_fill.h).

#include "mmu/scheme.h"
#include "mmu/software_fill.h"

namespace bunshin {

namespace {

class SoftwareParameters final : public SchemeParameters {
 public:
  u64 trap_cycles = 30;
  u64 entry_instructions = 10;
  u64 level_instructions = 6;
  u64 update_instructions = 4;
  u64 cycles_per_instruction = 1;

  void describe(ParameterVisitor& v) override {
    v.integer("trap_cycles", trap_cycles, {0, 100'000}, "cycles",
              "Into the handler and back: the pipeline drains and refills. An estimate.");
    v.integer(
        "entry_instructions", entry_instructions, {0, 10'000}, "",
        "Of the handler, however many levels there are: save registers, find the root, write the TLB. An estimate.");
    v.integer("level_instructions", level_instructions, {0, 10'000}, "",
              "For each level, beside its load: index, check, mask. An estimate.");
    v.integer("update_instructions", update_instructions, {0, 10'000}, "",
              "To set A or D in an entry, beside the store. An estimate.");
    v.integer("cycles_per_instruction", cycles_per_instruction, {1, 1000}, "cycles",
              "Of the handler's instructions that touch no memory. An estimate: they depend on each other.");
  }
  std::unique_ptr<TranslationScheme> make(const SchemeEnvironment& environment) const override;
  std::unique_ptr<SchemeParameters> clone() const override { return std::make_unique<SoftwareParameters>(*this); }
};

class SoftwareScheme final : public TranslationScheme, private WalkObserver {
 public:
  SoftwareScheme(const SoftwareParameters& parameters, const SchemeEnvironment& environment)
      : parameters_(parameters), environment_(environment) {}

  WalkResult miss(Linear address, const Access& access) override {
    if (fill_.concerns(environment_.context)) return fill_.miss(address, access, environment_.context);
    ++traps_;
    instructions_ += parameters_.entry_instructions;
    outer_ = environment_.walker.observer();
    if (outer_ == nullptr) return environment_.walker.walk(address, access);
    outer_->delay(parameters_.trap_cycles + cycles(parameters_.entry_instructions));
    environment_.walker.set_observer(this);
    const WalkResult result = environment_.walker.walk(address, access);
    environment_.walker.set_observer(outer_);
    return result;
  }
  bool uses_structure_caches() const override { return false; }
  bool read_register(u32 msr, u64& value) const override { return fill_.read(msr, value); }
  bool write_register(u32 msr, u64 value) override { return fill_.write(msr, value); }
  bool fills_by_hypervisor() const override { return true; }

  // Few entries, which come back by a fault each: whatever is flushed, all go.
  void flush_all() override { fill_.flush(); }
  void flush_non_global() override { fill_.flush(); }
  void flush_pcid(u16) override { fill_.flush(); }
  void flush_guest(u32) override { fill_.flush(); }
  void flush_everything() override { fill_.flush(); }
  void flush_page(Linear, u16, bool) override { fill_.flush(); }
  void hash(StateHash& hash) const override { fill_.hash(hash); }

  void register_statistics(StatRegistry& registry, const std::string& prefix) const override {
    registry.add(prefix + "traps", traps_, "traps", "to the TLB miss handler");
    registry.add(prefix + "instructions", instructions_, "instructions",
                 "of the TLB miss handler, while time is modeled");
    registry.add(prefix + "guest_faults", fill_.faults(), "faults", "of guests whose hypervisor fills the TLB");
    registry.add(prefix + "guest_fills", fill_.fills(), "entries", "that a hypervisor wrote");
  }

 private:
  u64 cycles(u64 instructions) const { return instructions * parameters_.cycles_per_instruction; }

  // WalkObserver: the walker's references are the handler's.
  void reference(const WalkReference& reference) override {
    const u64 instructions = reference.update ? parameters_.update_instructions : parameters_.level_instructions;
    instructions_ += instructions;
    WalkReference by_handler = reference;
    by_handler.by_software = true;
    outer_->reference(by_handler);
    outer_->delay(cycles(instructions));
  }
  void delay(u64 fixed) override { outer_->delay(fixed); }

  const SoftwareParameters parameters_;
  const SchemeEnvironment environment_;
  WalkObserver* outer_ = nullptr;
  SoftwareFill fill_;
  u64 traps_ = 0;
  u64 instructions_ = 0;
};

std::unique_ptr<TranslationScheme> SoftwareParameters::make(const SchemeEnvironment& environment) const {
  return std::make_unique<SoftwareScheme>(*this, environment);
}

}  // namespace

extern const SchemeType software_scheme;
const SchemeType software_scheme{
    "software", "A TLB that a handler below the operating system fills; with timing only it costs anything.",
    []() -> std::unique_ptr<SchemeParameters> { return std::make_unique<SoftwareParameters>(); }};

}  // namespace bunshin
