// Control transfers against the host, near and far, in 64-bit and compatibility mode: where they lead, what they push and
// count. Targets are landing pads; some are nowhere, or not canonical, or of another segment, some of the other mode.
// Longer runs: see oracle_host_test.cpp.

#include <algorithm>

#include "tests/core/oracle_differential.h"
#include "tests/core/oracle_memory.h"
#include "tests/core/oracle_rules.h"
#include "tests/core/oracle_segments.h"

namespace bunshin::oracle {
namespace {

class FlowTest : public Differential {
 protected:
  std::vector<const Row*> rows() const {
    std::vector<const Row*> found;
    for (u16 i = 0; i < table_.size(); ++i) {
      const Row& row = table_.row(i);
      const bool wanted = only() == nullptr || row.mnemonic == only();
      if (wanted && is_transfer(row) && exclusion(row, GetParam(), guest_profile()).empty()) found.push_back(&row);
    }
    return found;
  }

  bool wide() const { return GetParam() == CodeKind::Long; }

  /// In 64-bit mode with 66 AMD's processors take 16-bit targets, Intel's ignore it; F2 and F3 are not defined for LOOP,
  /// and on some AMD processors change its condition.
  bool has_disputed_prefix(const Case& c) const {
    const bool loop = c.decoded.row->mnemonic.starts_with("loop");
    for (const u8 b : c.bytes) {
      if ((b == 0x66 && wide() && !is_far(c)) || (loop && (b & 0xfe) == 0xf2)) return true;
      const bool prefix = (wide() && (b & 0xf0) == 0x40) || b == 0x66 || b == 0xf0 || b == 0xf2 || b == 0xf3 ||
                          b == 0x67 || (b & 0xe7) == 0x26 || (b & 0xfe) == 0x64;
      if (!prefix) return false;
    }
    return false;
  }

  static bool is_far(const Case& c) {
    constexpr std::string_view names[] = {"ljmp", "lcall", "retf", "iret"};
    return std::ranges::find(names, c.decoded.row->mnemonic) != std::end(names);
  }

  /// A pad that overlaps neither the instruction nor the pad behind it; 0 if the displacement cannot reach one.
  u64 place_pad(const Case& c, CodeKind kind, unsigned displacement_bytes) {
    const u64 end = c.rip + c.bytes.size();
    u64 target = code_begin + generator_.random().below(code_end - code_begin - 2 * HostProcessor::pad_size);
    if (displacement_bytes == 1) target = end + generator_.random().below(256) - 128;
    const bool clear = target + HostProcessor::pad_size <= c.rip || target >= end + HostProcessor::pad_size;
    if (!clear || target < code_begin || target + HostProcessor::pad_size > code_end) return 0;
    write_code(target, HostProcessor::landing_pad(kind, target));
    return target;
  }

  /// Where an indirect transfer goes: mostly to the pad.
  u64 indirect_target(u64 pad) {
    Random& random = generator_.random();
    if (random.percent(90)) return pad;
    const u64 target = random.percent(50) ? generator_.value() : random.next();
    // Nor where part of it would lead to old code, or to the host's way back.
    const auto leads_to_code = [](u64 a) { return (a >= code_begin && a < code_end) || is_host_only(a); };
    return leads_to_code(target) || leads_to_code(static_cast<u32>(target)) ? pad : target;
  }

  /// False if only a part of it would be written, or what is there would be read: old code, or half of an old address, may
  /// lead to old code.
  bool put(u64 at, std::span<const u8> bytes) {
    const bool inside = at >= data_begin && at <= data_end - bytes.size();
    if (inside) write_data(at, bytes);
    const auto apart = [&](u64 begin, u64 end) { return at + bytes.size() <= begin || at >= end; };
    return inside || (apart(data_begin, read_only_end) && apart(code_begin, code_end));
  }

  /// Gives the transfer a target. False if this case cannot have one.
  bool aim_at_pad(Case& c) {
    if (is_far(c)) return aim_far(c);
    const Op op = c.decoded.row->operands[0];
    const unsigned size = c.decoded.operand_bytes;
    const unsigned displacement_bytes = op == Op::Jb ? 1 : op == Op::Jz ? std::min(size, 4u) : 0;
    const u64 pad = place_pad(c, GetParam(), displacement_bytes);
    if (pad == 0) return false;
    if (displacement_bytes != 0) {
      const u64 displacement = pad - c.rip - c.bytes.size();
      std::memcpy(c.bytes.data() + c.bytes.size() - displacement_bytes, &displacement, displacement_bytes);
      if (generator_.random().percent(60)) c.registers.gpr[RCX] = generator_.random().below(3);
      return true;
    }
    const u64 target = indirect_target(pad);
    if (op == Op::Ev && !c.decoded.memory) {
      // On the host, code with its stack among the landing pads would overwrite them.
      if (c.decoded.record.rm == RSP * 8) return false;
      c.registers.gpr[c.decoded.record.rm / 8] = wide() ? target : static_cast<u32>(target);
      return true;
    }
    const std::span<const u8> bytes(reinterpret_cast<const u8*>(&target), size);
    return put(op == Op::Ev ? operand_address(c) : stack_address(c), bytes);
  }

  /// Mostly user code of this mode or the other.
  u16 code_selector() {
    Random& random = generator_.random();
    const u64 kind = random.below(100);
    if (kind < 45) return code32_selector;
    if (kind < 80) return code64_selector;
    if (!abilities_.gdt) return 0;
    // Segments of which nobody knows what code is there must not be reached.
    u16 selector = generator_.selector();
    const bool known =
        (selector & 4) == 0 || (selector >> 3) >= local_segments.size() || local_segments[selector >> 3].contents != 2;
    const bool user_code = (selector & 0xfffc) == 0x20 || (selector & 0xfffc) == 0x30;
    return known && !user_code ? selector : code64_selector;
  }

  /// The offset and selector that a far transfer takes, each of the operand's size (in memory the selector of two bytes).
  bool aim_far(Case& c) {
    const std::string_view name = c.decoded.row->mnemonic;
    const unsigned size = c.decoded.operand_bytes;
    // Offsets of 16 bits lead nowhere.
    const u16 selector = code_selector();
    const CodeKind kind = selector == code64_selector ? CodeKind::Long : CodeKind::Compatibility;
    const u64 pad = place_pad(c, kind, 0);
    if (pad == 0) return false;
    std::array<u64, 5> words = {indirect_target(pad), selector, frame_flags(), c.registers.gpr[RSP], data_selector};
    std::array<u8, 40> image{};
    if (name == "retf" || name == "iret") {
      // 32-bit landing pads need a flat stack segment.
      if (selector != code32_selector && generator_.random().percent(10))
        words[4] = abilities_.gdt ? generator_.selector() : 0;
      for (unsigned i = 0; i < 5; ++i) std::memcpy(image.data() + i * size, &words[i], size);
      const unsigned count = name == "retf" ? 2 : wide() ? 5 : 3;
      return put(stack_address(c), std::span(image).first(count * size));
    }
    std::memcpy(image.data(), words.data(), size);
    std::memcpy(image.data() + size, &selector, 2);
    if (c.decoded.memory) return put(operand_address(c), std::span(image).first(size + 2));
    std::memcpy(c.bytes.data() + c.bytes.size() - size - 2, image.data(), size + 2);
    return true;
  }

  /// For IRET: no single steps.
  u64 frame_flags() {
    u64 flags = generator_.random().next() & (rflags::status | rflags::DF | rflags::AC | rflags::ID | rflags::NT |
                                              rflags::IOPL | rflags::IF | rflags::VIF | rflags::VIP | rflags::RF);
    return flags | rflags::fixed;
  }
};

TEST_P(FlowTest, TransfersAgreeWithTheHost) {
  const std::vector<const Row*> found = rows();
  if (only() == nullptr) {
    ASSERT_EQ(found.size(), wide() ? 48u : 50u);
  } else if (found.empty()) {
    GTEST_SKIP() << "no such row among the transfers";
  }
  generator_.keep_stack_flat();
  const u64 cases = from_environment("BUNSHIN_ORACLE_CASES", 200'000);
  for (u64 i = 0; i < cases; ++i) {
    const Row& row = *found[i % found.size()];
    Case c = generator_.instruction(row);
    if (c.decoded.row != &row || c.decoded.record.length != c.bytes.size()) continue;
    if (!has_disputed_prefix(c) && aim_at_pad(c)) compare(c);
  }
  check_coverage(found);
}

INSTANTIATE_TEST_SUITE_P(Code, FlowTest, ::testing::Values(CodeKind::Long, CodeKind::Compatibility), code_kind_name);

}  // namespace
}  // namespace bunshin::oracle
