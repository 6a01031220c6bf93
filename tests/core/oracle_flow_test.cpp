// Near control transfers in 64-bit mode against the host: where they lead, what they push and count. Targets are
// landing pads; some are nowhere, or not canonical. Longer runs: see oracle_host_test.cpp.

#include <algorithm>

#include "tests/core/oracle_differential.h"
#include "tests/core/oracle_rules.h"

namespace bunshin::oracle {
namespace {

class FlowTest : public Differential {
 protected:
  static bool is_near_transfer(const Row& row) {
    constexpr std::string_view others[] = {"jmp", "call", "ret", "loop", "loope", "loopne", "jrcxz"};
    if ((row.attributes & attr::force64) == 0 || (row.attributes & attr::ends_block) == 0) return false;
    const bool conditional = row.mnemonic[0] == 'j' && row.operands[0] != Op::Ev;
    return conditional || std::find(std::begin(others), std::end(others), row.mnemonic) != std::end(others);
  }

  /// With 66 AMD's processors take 16-bit targets, Intel's ignore it; F2 and F3 are not defined for LOOP, and on
  /// some AMD processors change its condition.
  static bool has_disputed_prefix(const Case& c) {
    const bool loop = c.decoded.row->mnemonic.starts_with("loop");
    for (const u8 b : c.bytes) {
      if (b == 0x66 || (loop && (b & 0xfe) == 0xf2)) return true;
      const bool prefix = (b & 0xf0) == 0x40 || b == 0xf0 || b == 0xf2 || b == 0xf3 || b == 0x67 ||
                          (b & 0xe7) == 0x26 || (b & 0xfe) == 0x64;
      if (!prefix) return false;
    }
    return false;
  }

  /// A pad that overlaps neither the instruction nor the pad behind it; 0 if the displacement cannot reach one.
  u64 place_pad(const Case& c, unsigned displacement_bytes) {
    const u64 end = c.rip + c.bytes.size();
    u64 target = code_begin + generator_.random().below(code_end - code_begin - 2 * HostProcessor::pad_size);
    if (displacement_bytes == 1) target = end + generator_.random().below(256) - 128;
    const bool clear = target + HostProcessor::pad_size <= c.rip || target >= end + HostProcessor::pad_size;
    if (!clear || target < code_begin || target + HostProcessor::pad_size > code_end) return 0;
    write_code(target, HostProcessor::landing_pad(target));
    return target;
  }

  /// Where an indirect transfer goes: mostly to the pad.
  u64 indirect_target(u64 pad) {
    Random& random = generator_.random();
    if (random.percent(90)) return pad;
    const u64 target = random.percent(50) ? generator_.value() : random.next();
    return target >= code_begin && target < code_end ? pad : target;
  }

  static u64 effective_address(const Case& c) {
    const Record& r = c.decoded.record;
    const auto value = [&c](u8 offset) {
      const unsigned slot = offset / 8;
      return slot < 16                     ? c.registers.gpr[slot]
             : slot == CpuState::rip_slot  ? c.rip
             : slot == CpuState::page_slot ? page_size
                                           : u64{0};
    };
    const u64 address = value(r.base) + (value(r.index) << r.scale) + static_cast<u64>(i64{r.disp});
    return r.address_bytes() == 8 ? address : static_cast<u32>(address);
  }

  /// Gives the transfer a target. False if this case cannot have one.
  bool aim_at_pad(Case& c) {
    const Op op = c.decoded.row->operands[0];
    const unsigned displacement_bytes = op == Op::Jb ? 1 : op == Op::Jz ? 4 : 0;
    const u64 pad = place_pad(c, displacement_bytes);
    if (pad == 0) return false;
    if (displacement_bytes != 0) {
      const u64 displacement = pad - c.rip - c.bytes.size();
      std::memcpy(c.bytes.data() + c.bytes.size() - displacement_bytes, &displacement, displacement_bytes);
      if (generator_.random().percent(60)) c.registers.gpr[RCX] = generator_.random().below(3);
      return true;
    }
    const u64 target = indirect_target(pad);
    const std::span<const u8> bytes(reinterpret_cast<const u8*>(&target), 8);
    if (op == Op::Ev && !c.decoded.memory) {
      // On the host, code with its stack among the landing pads would overwrite them.
      if (c.decoded.record.rm == RSP * 8) return false;
      c.registers.gpr[c.decoded.record.rm / 8] = target;
    } else {
      const u64 at = op == Op::Ev ? effective_address(c) : c.registers.gpr[RSP];
      const bool inside = at >= data_begin && at + 8 <= data_end;
      if (inside) write_data(at, bytes);
      // Half of an old return address may lead to old code.
      else if (at + 8 > data_begin && at < data_end)
        return false;
    }
    return true;
  }
};

TEST_F(FlowTest, NearTransfersAgreeWithTheHost) {
  std::vector<const Row*> rows;
  for (u16 i = 0; i < table_.size(); ++i) {
    if (is_near_transfer(table_.row(i))) rows.push_back(&table_.row(i));
  }
  ASSERT_EQ(rows.size(), 43u);
  const u64 cases = from_environment("BUNSHIN_ORACLE_CASES", 150'000);
  for (u64 i = 0; i < cases; ++i) {
    Case c = generator_.instruction(*rows[i % rows.size()]);
    if (c.decoded.row != rows[i % rows.size()] || c.decoded.record.length != c.bytes.size()) continue;
    if (!has_disputed_prefix(c) && aim_at_pad(c)) compare(c);
  }
  print_counts(rows.size());
}

}  // namespace
}  // namespace bunshin::oracle
