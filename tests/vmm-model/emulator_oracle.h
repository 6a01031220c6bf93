#pragma once

// What an emulated instruction reaches where it is compared with the simulator's processor: the pages, segments and vector registers of
// the oracle's cases.

#include "tests/core/oracle_guest.h"
#include "tests/core/oracle_memory.h"
#include "tests/core/oracle_segments.h"
#include "vmm-model/emulate/emulator.h"

namespace bunshin::vmm {

/// The oracle's pages, with the rights that they have on the processor.
class OracleAccess final : public GuestAccess {
 public:
  OracleAccess(oracle::GuestProcessor& guest, const oracle::Case& c) : guest_(guest), case_(c), fx(c.registers.fx) {}

  bool read(u64 linear, unsigned size, u64& value, Intent intent) override {
    if (!permits(linear, size, intent)) return false;
    value = 0;
    for (unsigned i = 0; i < size; ++i) value |= u64{*guest_.at(linear + i)} << (8 * i);
    return true;
  }
  bool write(u64 linear, unsigned size, u64 value) override {
    if (!permits(linear, size, Intent::Modify)) return false;
    for (unsigned i = 0; i < size; ++i) *guest_.at(linear + i) = static_cast<u8>(value >> (8 * i));
    return true;
  }
  bool permits(u64 linear, unsigned size, Intent intent) override {
    const u64 last = linear + size - 1;
    return permits_byte(linear, intent) &&
           (linear / page_size == last / page_size || permits_byte(last & ~(page_size - 1), intent));
  }
  bool in_segment(SegmentName name, u64 offset, unsigned size, bool write) override {
    if (case_.kind == oracle::CodeKind::Long) {
      const u64 high = offset >> 47;
      if (high == 0 || high == 0x1'ffff) return true;
    } else {
      if (name == SegmentName::cs) return true;
      const Segment s = oracle::data_segment(case_.registers.selectors[static_cast<unsigned>(name)], true);
      const bool code = (s.attributes & 8) != 0, down = !code && (s.attributes & 4) != 0;
      const bool allowed = !write || (!code && (s.attributes & 2) != 0);
      const u64 last = offset + size - 1, top = s.is_big() ? 0xffff'ffff : 0xffff;
      if (allowed && (down ? offset > s.limit && last <= top : last <= s.limit)) return true;
    }
    raise(name == SegmentName::ss ? vector::SS : vector::GP);
    return false;
  }
  u16 selector(SegmentName name) override {
    return name == SegmentName::cs ? oracle::code_selector_of(case_.kind)
                                   : case_.registers.selectors[static_cast<unsigned>(name)];
  }
  u64 extended_state(unsigned offset) override { return fx.get<u64>(offset); }
  void set_extended_state(unsigned offset, u64 value) override { fx.set<u64>(offset, value); }
  void raise(u8 number) override { raised = number; }

 private:
  oracle::GuestProcessor& guest_;
  const oracle::Case& case_;

  bool permits_byte(u64 linear, Intent intent) {
    const auto within = [&](u64 begin, u64 end) { return linear >= begin && linear < end; };
    const bool write = intent == Intent::Modify, readable = within(oracle::data_end, oracle::read_only_end);
    if (within(oracle::data_begin, oracle::data_end) || within(oracle::code_begin, oracle::code_end)) return true;
    if (readable && !write) return true;
    raised = vector::PF;
    address = linear;
    error_code = (readable ? 1u : 0u) | (write ? 2u : 0u) | 4u;
    return false;
  }

 public:
  oracle::FxImage fx;
  u8 raised = 0;
  u64 address = 0;
  u32 error_code = 0;
};

}  // namespace bunshin::vmm
