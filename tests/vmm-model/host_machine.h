#pragma once

// A machine for the hypervisor's parts without their surroundings: memory in an array, time that a test sets, and a processor
// that never runs. What the hypervisor says is kept.

#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "vmm-model/guest_execution.h"
#include "vmm-model/page_pool.h"

namespace bunshin::vmm {

class HostMachine final : public Hardware {
 public:
  /// Addresses 0 .. bytes.
  explicit HostMachine(u64 bytes = 64 << 20) : memory_(bytes) {}

  u64 load(HostPhysical address, unsigned size) override {
    u64 value = 0;
    std::memcpy(&value, at(address, size), size);
    return value;
  }
  void store(HostPhysical address, unsigned size, u64 value) override { std::memcpy(at(address, size), &value, size); }
  void read(HostPhysical address, std::span<u8> bytes) override {
    if (!bytes.empty()) std::memcpy(bytes.data(), at(address, bytes.size()), bytes.size());
  }
  void write(HostPhysical address, std::span<const u8> bytes) override {
    if (!bytes.empty()) std::memcpy(at(address, bytes.size()), bytes.data(), bytes.size());
  }
  void clear(HostPhysical address, u64 bytes) override {
    if (bytes != 0) std::memset(at(address, bytes), 0, bytes);
  }
  void* allocate_object(std::size_t bytes) override {
    objects_.emplace_back((bytes + 15) / 16 * 2);
    return objects_.back().data();
  }
  SimTime now() override { return std::exchange(time, time + look_takes); }
  u64 tsc() override { return time.ps / 1000; }
  u64 tsc_hertz() const override { return 1'000'000'000; }
  SimTime time_of_tsc(u64 tsc) override { return SimTime{tsc * 1000}; }
  u64 tsc_at(SimTime at) override { return at == SimTime::never() ? ~u64{0} : (at.ps + 999) / 1000; }
  void set_timer(SimTime) override {}
  void take_interrupts() override {}
  void wait_for_interrupt() override {}
  CpuidResult cpuid(u32 leaf, u32) override { return leaf == 1 ? CpuidResult{0, 0, features, 0} : leaves[leaf]; }
  u64 read_msr(u32 number) override { return msrs[number]; }
  void write_msr(u32 number, u64 value) override { msrs[number] = value; }
  void save_extended_state(HostPhysical, u64) override {}
  void load_extended_state(HostPhysical, u64) override {}
  void set_xcr0(u64) override {}
  void run_vmcb(HostPhysical vmcb, HostPhysical, GeneralRegisters&) override { in_vmcb(vmcb); }
  void invalidate_guest_page(Linear, u32) override {}
  bool switch_pages(std::array<HostPhysical, switch_area::shared_pages>& pages) override {
    for (unsigned i = 0; i < pages.size(); ++i) pages[i] = HostPhysical(memory_.size() + i * page_size);
    return true;
  }
  UserState* user_state() override { return &user_registers; }
  void run_user_state(const UserSpace& space) override { in_user(space, user_registers); }
  u32 fault_address() override { return fault_at; }
  void log(std::string_view text) override { said += text; }
  void guest_output(std::span<const char> text) override { output.append(text.data(), text.size()); }
  int guest_input() override { return -1; }
  void power_off(bool) override {}

  std::span<u8> memory(u64 begin, u64 bytes) { return {at(HostPhysical(begin), bytes), bytes}; }

  std::function<void(const UserSpace&, UserState&)> in_user = [](const UserSpace&, UserState&) {};
  std::function<void(HostPhysical)> in_vmcb = [](HostPhysical) {};
  UserState user_registers;
  u32 fault_at = 0;
  SimTime time, look_takes;           ///< the hypervisor's own time goes on: by so much whenever somebody looks at it
  u32 features = 0;                   ///< CPUID.1:ECX
  std::map<u32, CpuidResult> leaves;  ///< other leaves of CPUID
  std::map<u32, u64> msrs;
  std::string said, output;

 private:
  /// Throws if the access leaves memory.
  u8* at(HostPhysical address, u64 bytes) {
    if (bytes > memory_.size() || address.value > memory_.size() - bytes) throw std::out_of_range("host memory");
    return memory_.data() + address.value;
  }

  std::vector<u8> memory_;
  std::deque<std::vector<u64>> objects_;
};

/// Registers and no execution.
class StillProcessor final : public GuestExecution {
 public:
  u64 get(StateField field) override { return fields[static_cast<unsigned>(field)]; }
  void set(StateField field, u64 value) override { fields[static_cast<unsigned>(field)] = value; }
  SegmentState segment(SegmentName name) override { return segments[static_cast<unsigned>(name)]; }
  void set_segment(SegmentName name, const SegmentState& state) override {
    segments[static_cast<unsigned>(name)] = state;
  }
  void use_second_stage(HostPhysical table) override { root = table; }
  SecondStageFormat second_stage_format() const override { return format; }
  void use_shadow(HostPhysical table) override { root = table; }
  bool pass_missing_pages() override { return can_pass_missing; }
  void intercept_invlpg(bool) override {}
  void flush_translations() override { ++flushes; }
  void flush_page(Linear) override {}
  void inject(const Event& event) override { injected = event; }
  bool event_pending() override { return false; }
  void request_interrupt_window(bool) override {}
  Exit enter() override { return script ? script(*this) : Exit{}; }

  std::array<u64, static_cast<unsigned>(StateField::count)> fields{};
  std::array<SegmentState, static_cast<unsigned>(SegmentName::count)> segments{};
  std::function<Exit(StillProcessor&)> script;  ///< what the processor does until it exits
  HostPhysical root;
  SecondStageFormat format = SecondStageFormat::Npt;
  unsigned flushes = 0;
  bool can_pass_missing = false;
  Event injected;  ///< last
};

}  // namespace bunshin::vmm
