#include "tests/core/oracle_generate.h"

#include <algorithm>
#include <cstdio>

#include "base/address.h"

namespace bunshin::oracle {

namespace {

bool needs_memory(const Row& row) {
  return std::any_of(std::begin(row.operands), std::end(row.operands),
                     [](Op op) { return op >= Op::M && op <= Op::Mvsib; });
}

}  // namespace

bool has_operand(const Row& row, std::initializer_list<Op> ops) {
  return std::any_of(ops.begin(), ops.end(),
                     [&row](Op op) { return std::ranges::find(row.operands, op) != std::end(row.operands); });
}

std::string hex(std::span<const u8> bytes) {
  std::string text;
  for (const u8 b : bytes) {
    char digits[4];
    std::snprintf(digits, sizeof digits, "%02x ", b);
    text += digits;
  }
  return text;
}

Generator::Generator(const OpcodeTable& table, const CpuProfile& profile, CodeKind kind, const Abilities& abilities,
                     u64 seed)
    : table_(table), profile_(profile), random_(seed), kind_(kind), abilities_(abilities) {
  mode_.bits = kind == CodeKind::Long ? 64 : kind == CodeKind::Compatibility ? 32 : 16;
  mode_.flat = kind == CodeKind::Long;
  mode_.stack32 = mode_.protected_mode = mode_.sse = mode_.avx = true;
  mode_.cpl = 3;
}

void Generator::add_segment_prefix(bool wants_base, std::vector<u8>& bytes) {
  if (wants_base || random_.percent(6)) {
    if (abilities_.bases) bytes.push_back(random_.percent(50) ? 0x64 : 0x65);
  } else if (random_.percent(8)) {
    bytes.push_back(random_.pick(std::array<u8, 4>{0x26, 0x2e, 0x36, 0x3e}));
  }
}

void Generator::add_prefixes(const Pattern& p, std::vector<u8>& bytes) {
  std::vector<u8> prefixes;
  const bool vex = p.vex();
  if (!vex && (p.mandatory == 0x66 || p.mandatory >= 0xf2)) prefixes.push_back(p.mandatory);
  if (!vex && ((p.mandatory == 0 && random_.percent(20)) || (p.mandatory >= 0xf2 && random_.percent(10))))
    prefixes.push_back(0x66);
  if (!vex && p.mandatory == 0 && random_.percent(8)) prefixes.push_back(random_.percent(50) ? 0xf2 : 0xf3);
  const bool address_override = random_.percent(kind_ == CodeKind::Long ? 8 : 15);
  if (address_override) prefixes.push_back(0x67);
  address16_ = address_override ? kind_ == CodeKind::Compatibility : kind_ == CodeKind::Compatibility16;
  // Only a segment with a base reaches the data by 16-bit addresses.
  add_segment_prefix(address16_ && random_.percent(kind_ == CodeKind::Compatibility ? 85 : 30), prefixes);
  const unsigned lock = vex ? 1 : (p.row->attributes & attr::lockable) != 0 ? 15 : 2;
  if (random_.percent(lock)) prefixes.push_back(0xf0);
  // Before VEX all of these, and REX, are #UD.
  if (vex && random_.percent(2)) prefixes.push_back(random_.pick(std::array<u8, 4>{0x66, 0xf2, 0xf3, 0x48}));
  for (std::size_t i = prefixes.size(); i > 1; --i) std::swap(prefixes[i - 1], prefixes[random_.below(i)]);
  bytes = prefixes;
  if (kind_ == CodeKind::Long && !vex) add_rex(p, bytes);
}

void Generator::add_rex(const Pattern& p, std::vector<u8>& bytes) {
  if (p.rex_w == 1)
    bytes.push_back(static_cast<u8>(0x48 | random_.below(8)));
  else if (p.rex_w == 0 && random_.percent(50))
    bytes.push_back(static_cast<u8>(0x40 | random_.below(8)));
  else if (p.rex_w < 0 && random_.percent(55))
    bytes.push_back(static_cast<u8>(0x40 | random_.below(16)));
}

/// C5 where it can say it, C4 otherwise and sometimes (SDM vol. 2, figure 2-9).
void Generator::add_vex(const Pattern& p, std::vector<u8>& bytes) {
  const auto map = static_cast<u8>(p.map - Pattern::vex_maps);
  const u8 pp = p.mandatory == 0x66 ? 1 : p.mandatory == 0xf3 ? 2 : p.mandatory == 0xf2 ? 3 : 0;
  const u8 length = p.vex_l >= 0 ? static_cast<u8>(p.vex_l) : static_cast<u8>(random_.below(2));
  const u8 wide = p.rex_w >= 0 ? static_cast<u8>(p.rex_w) : static_cast<u8>(random_.below(2));
  // vvvv is inverted; bit 3 of it, and R, X must be 1 outside 64-bit mode, where C4 is LES otherwise.
  u8 vvvv = p.uses_vvvv ? static_cast<u8>(random_.below(16)) : u8{15};
  if (!p.uses_vvvv && random_.percent(2)) vvvv = static_cast<u8>(random_.below(16));
  u8 extensions = random_.percent(50) ? u8{7} : static_cast<u8>(random_.below(8));
  if (kind_ != CodeKind::Long) extensions |= 6;
  const auto last = static_cast<u8>(vvvv << 3 | length << 2 | pp);
  if (map == 1 && wide == 0 && (extensions & 3) == 3 && random_.percent(50)) {
    // Its bit 7 is R, which 32-bit code must set too.
    bytes.insert(bytes.end(), {0xc5, static_cast<u8>((extensions & 4) << 5 | last)});
  } else {
    bytes.insert(bytes.end(), {0xc4, static_cast<u8>(extensions << 5 | map), static_cast<u8>(wide << 7 | last)});
  }
}

void Generator::add_opcode(const Pattern& p, std::vector<u8>& bytes) {
  if (p.vex()) {
    add_vex(p, bytes);
  } else {
    if (p.map != 0) bytes.push_back(0x0f);
    if (p.map == 2) bytes.push_back(0x38);
    if (p.map == 3) bytes.push_back(0x3a);
  }
  bytes.push_back(p.register_in_opcode ? static_cast<u8>(p.opcode | random_.below(8)) : p.opcode);
}

/// What follows ModRM; returns how many bytes of displacement were pushed that are an address by themselves.
unsigned Generator::add_address(unsigned mod, unsigned rm, bool needs_sib, std::vector<u8>& bytes) {
  const auto push = [&bytes](u64 v, unsigned size) {
    for (unsigned i = 0; i < size; ++i) bytes.push_back(static_cast<u8>(v >> (i * 8)));
  };
  const u64 displacement = random_.percent(70) ? random_.below(0x1000) - 0x800 : value();
  if (address16_ && !needs_sib) {
    const bool alone = mod == 0 && rm == 6;
    if (mod == 1) push(displacement, 1);
    if (mod == 2 || alone) push(displacement, 2);
    return alone ? 2 : 0;
  }
  const u8 sib = random_.byte();
  if (rm == 4) bytes.push_back(sib);
  const bool alone = mod == 0 && (rm == 5 || (rm == 4 && (sib & 7) == 5));
  displacement_is_relative_ = rm == 5 && kind_ == CodeKind::Long;
  if (mod == 1) push(displacement, 1);
  if (mod == 2 || alone) push(displacement, 4);
  return alone ? 4 : 0;
}

void Generator::add_modrm(const Pattern& p, std::vector<u8>& bytes) {
  displacement_at_ = 0;
  if (!p.has_modrm) return;
  if (p.modrm >= 0) {
    bytes.push_back(static_cast<u8>(p.modrm));
    return;
  }
  const auto reg = p.reg_field >= 0 ? static_cast<u64>(p.reg_field) : random_.below(8);
  const bool memory = p.memory >= 0 ? p.memory == 1 : needs_memory(*p.row) || random_.percent(55);
  const bool vector_index = has_operand(*p.row, {Op::Mvsib});
  const auto mod = static_cast<unsigned>(memory ? random_.below(3) : 3);
  const auto rm = static_cast<unsigned>(vector_index && random_.percent(97) ? 4 : random_.below(8));
  bytes.push_back(static_cast<u8>(mod << 6 | reg << 3 | rm));
  if (!memory) return;
  displacement_is_relative_ = false;
  const unsigned alone = add_address(mod, rm, vector_index, bytes);
  displacement_bytes_ = alone;
  if (alone != 0) displacement_at_ = static_cast<unsigned>(bytes.size()) - alone;
}

bool Generator::decode(Case& c) const {
  std::vector<u8> bytes = c.bytes;
  bytes.resize(std::max<std::size_t>(bytes.size(), 15), 0x90);
  return bunshin::decode(table_, profile_, mode_, bytes, 0, 4096, c.decoded) == DecodeStatus::Ok;
}

Case Generator::instruction(const Row& row) {
  Case c;
  c.kind = kind_;
  const Pattern pattern = OpcodeTable::parse(row);
  c.rip = random_.percent(5) ? code_begin + page_size - random_.below(16) : code_begin + random_.below(page_size - 64);
  c.target = random_target();
  random_registers(c.registers);
  add_prefixes(pattern, c.bytes);
  add_opcode(pattern, c.bytes);
  add_modrm(pattern, c.bytes);
  while (c.bytes.size() < 15)
    c.bytes.push_back(random_.percent(60) ? random_.byte() : static_cast<u8>(random_.below(4)));
  if (!decode(c)) return c;
  if (c.decoded.row == nullptr) return c;
  c.bytes.resize(c.decoded.record.length);
  if (displacement_at_ != 0 && displacement_at_ + displacement_bytes_ <= c.bytes.size()) {
    const u64 from = displacement_is_relative_ ? c.rip + c.bytes.size() : 0;
    const u64 disp = c.target - segment_base(c.registers, static_cast<Seg>(c.decoded.record.segment)) - from;
    std::memcpy(c.bytes.data() + displacement_at_, &disp, displacement_bytes_);
    decode(c);
  }
  // Everywhere else these only fault.
  const std::string_view name = c.decoded.row->mnemonic;
  if ((name.starts_with("xsave") || name == "xrstor") && random_.percent(90)) c.target &= ~u64{63};
  aim(c);
  aim_implicit(c);
  return c;
}

}  // namespace bunshin::oracle
