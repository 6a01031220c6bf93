#include "tests/core/oracle_generate.h"

#include <algorithm>
#include <cstdio>

#include "base/address.h"

namespace bunshin::oracle {

namespace {

constexpr u64 edge_values[] = {0,
                               1,
                               2,
                               0x7f,
                               0x80,
                               0xff,
                               0x7fff,
                               0x8000,
                               0xffff,
                               0x7fffffff,
                               0x80000000,
                               0xffffffff,
                               0x100,
                               0x100000000,
                               0x10,
                               0x3f,
                               0x40,
                               0x1f,
                               0x20,
                               0x7fffffffffffffff,
                               0x8000000000000000,
                               0xffffffffffffffff,
                               0xffffffff80000000};

constexpr u32 edge_singles[] = {0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000,
                                0x7f800001, 0x00000001, 0x807fffff, 0x00800000, 0x7f7fffff, 0x4f000000, 0xcf000000,
                                0x4b800001, 0x3f000000, 0x3fc00000, 0xffc12345, 0x5f000000, 0x34000000};
constexpr u64 edge_doubles[] = {0,
                                0x8000000000000000,
                                0x3ff0000000000000,
                                0xbff0000000000000,
                                0x7ff0000000000000,
                                0xfff0000000000000,
                                0x7ff8000000000000,
                                0x7ff0000000000001,
                                0x0000000000000001,
                                0x800fffffffffffff,
                                0x0010000000000000,
                                0x7fefffffffffffff,
                                0x41e0000000000000,
                                0xc1e0000000000000,
                                0x43e0000000000000,
                                0xc3e0000000000000,
                                0x3fe0000000000000,
                                0x3ff8000000000000,
                                0x47efffffe0000000,
                                0x47efffffffffffff,
                                0x36a0000000000000,
                                0x380fffffffffffff,
                                0xfff8000000012345};

bool needs_memory(const Row& row) {
  return std::any_of(std::begin(row.operands), std::end(row.operands),
                     [](Op op) { return op >= Op::M && op <= Op::Ms; });
}

bool is_any_of(std::string_view mnemonic, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), mnemonic) != names.end();
}

}  // namespace

std::string hex(std::span<const u8> bytes) {
  std::string text;
  for (const u8 b : bytes) {
    char digits[4];
    std::snprintf(digits, sizeof digits, "%02x ", b);
    text += digits;
  }
  return text;
}

Generator::Generator(const OpcodeTable& table, const CpuProfile& profile, u64 seed)
    : table_(table), profile_(profile), random_(seed) {
  mode_.bits = 64;
  mode_.flat = mode_.stack32 = mode_.protected_mode = mode_.sse = true;
  mode_.cpl = 3;
}

u64 Generator::value() {
  if (random_.percent(35)) return random_.pick(edge_values);
  const u64 v = random_.next();
  return random_.percent(40) ? v >> random_.below(64) : v;
}

void Generator::fill(std::span<u8> bytes) {
  const u64 kind = random_.below(4);
  for (std::size_t i = 0; i + 8 <= bytes.size(); i += 8) {
    u64 v = random_.next();
    if (kind == 0) {
      v = value();
    } else if (kind == 1) {
      v = random_.pick(edge_singles) | u64{random_.pick(edge_singles)} << 32;
    } else if (kind == 2) {
      v = random_.pick(edge_doubles);
    } else if (random_.percent(50)) {
      // Two singles, or a double, of moderate exponent.
      v = random_.percent(50) ? (v & 0x83ffffff83ffffff) | 0x3c0000003c000000
                              : (v & 0x83ffffffffffffff) | 0x3c00000000000000;
    }
    std::memcpy(bytes.data() + i, &v, 8);
  }
}

void Generator::add_prefixes(const Pattern& p, std::vector<u8>& bytes) {
  std::vector<u8> prefixes;
  if (p.mandatory == 0x66 || p.mandatory >= 0xf2) prefixes.push_back(p.mandatory);
  if ((p.mandatory == 0 && random_.percent(20)) || (p.mandatory >= 0xf2 && random_.percent(10)))
    prefixes.push_back(0x66);
  // F3 BSF is TZCNT on a host with BMI1, which the profile lacks.
  const bool means_another_instruction = p.row->mnemonic == "bsf";
  if (p.mandatory == 0 && !means_another_instruction && random_.percent(8))
    prefixes.push_back(random_.percent(50) ? 0xf2 : 0xf3);
  // GS has base 0 on both sides; FS is the host's thread pointer.
  if (random_.percent(8)) prefixes.push_back(random_.pick(std::array<u8, 5>{0x26, 0x2e, 0x36, 0x3e, 0x65}));
  if (random_.percent(8)) prefixes.push_back(0x67);
  if (random_.percent((p.row->attributes & attr::lockable) != 0 ? 15 : 2)) prefixes.push_back(0xf0);
  for (std::size_t i = prefixes.size(); i > 1; --i) std::swap(prefixes[i - 1], prefixes[random_.below(i)]);
  bytes = prefixes;
  if (p.rex_w == 1)
    bytes.push_back(static_cast<u8>(0x48 | random_.below(8)));
  else if (p.rex_w == 0 && random_.percent(50))
    bytes.push_back(static_cast<u8>(0x40 | random_.below(8)));
  else if (p.rex_w < 0 && random_.percent(55))
    bytes.push_back(static_cast<u8>(0x40 | random_.below(16)));
}

void Generator::add_opcode(const Pattern& p, std::vector<u8>& bytes) {
  if (p.map != 0) bytes.push_back(0x0f);
  if (p.map == 2) bytes.push_back(0x38);
  if (p.map == 3) bytes.push_back(0x3a);
  bytes.push_back(p.register_in_opcode ? static_cast<u8>(p.opcode | random_.below(8)) : p.opcode);
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
  const u64 mod = memory ? random_.below(3) : 3;
  const u64 rm = random_.below(8);
  bytes.push_back(static_cast<u8>(mod << 6 | reg << 3 | rm));
  if (!memory) return;
  const u8 sib = random_.byte();
  if (rm == 4) bytes.push_back(sib);
  displacement_is_relative_ = rm == 5;
  if (mod == 0 && (rm == 5 || (rm == 4 && (sib & 7) == 5))) displacement_at_ = static_cast<unsigned>(bytes.size());
  if (mod == 1) bytes.push_back(random_.byte());
  if (mod == 2 || displacement_at_ != 0) {
    const auto disp = static_cast<u32>(random_.percent(70) ? random_.below(0x1000) - 0x800 : value());
    for (unsigned i = 0; i < 4; ++i) bytes.push_back(static_cast<u8>(disp >> (i * 8)));
  }
}

bool Generator::decode(Case& c) const {
  std::vector<u8> bytes = c.bytes;
  bytes.resize(std::max<std::size_t>(bytes.size(), 15), 0x90);
  return bunshin::decode(table_, profile_, mode_, bytes, 0, 4096, c.decoded) == DecodeStatus::Ok;
}

void Generator::random_registers(Registers& r) {
  for (u64& g : r.gpr) g = value();
  r.gpr[RSP] = random_target();
  r.flags = (random_.next() & rflags::status) | rflags::fixed | (random_.percent(20) ? rflags::DF : 0);
  FxImage& fx = r.fx;
  fill(std::span(fx.bytes).subspan(FxImage::xmm0, 256));
  // Mostly masked exceptions, any rounding, sometimes flush to zero or denormals as zero.
  u32 mxcsr = 0x1f80 | static_cast<u32>(random_.below(4) << 13);
  if (random_.percent(10)) mxcsr |= 0x8000;
  if (random_.percent(10)) mxcsr |= 0x40;
  if (random_.percent(10)) mxcsr |= static_cast<u32>(random_.below(64));
  if (random_.percent(8)) mxcsr &= ~static_cast<u32>(random_.below(64) << 7);
  fx.set<u32>(FxImage::mxcsr, mxcsr);
  u16 control = static_cast<u16>(0x7f | random_.below(4) << 10);
  control = static_cast<u16>(control | random_.pick(std::array<u16, 3>{0, 0x200, 0x300}));
  fx.set<u16>(FxImage::control, control);
  fx.set<u16>(FxImage::status, static_cast<u16>((random_.next() & 0x4700) | random_.below(8) << 11));
  fx.set<u8>(FxImage::tags, random_.percent(50) ? 0xff : random_.byte());
  for (unsigned i = 0; i < 8; ++i) {
    const u16 exponent = random_.percent(20)
                             ? 0xffff
                             : static_cast<u16>(0x3ff0 + random_.below(0x30) + (random_.percent(50) ? 0x8000 : 0));
    fx.set<u64>(FxImage::st0 + i * 16, random_.next() | (u64{1} << 63));
    fx.set<u16>(FxImage::st0 + i * 16 + 8, exponent);
  }
}

u64 Generator::random_target() {
  const u64 size = data_end - data_begin;
  const u64 kind = random_.below(100);
  if (kind < 60) return data_begin + 0x100 + random_.below(size / 16 - 0x40) * 16;
  if (kind < 85) return data_begin + 0x100 + random_.below(size - 0x400);
  if (kind < 95) return data_begin + page_size * (1 + random_.below(3)) - random_.below(64);
  if (kind < 97) return data_end - 16 + random_.below(page_size);
  return random_.percent(50) ? read_only_end - random_.below(32) : data_begin - random_.below(16);
}

/// Sets base or index so that the operand lies at the target, where that can be done.
void Generator::aim(Case& c) {
  const Record& r = c.decoded.record;
  Registers& registers = c.registers;
  if (!r.has_memory() || c.decoded.row->operands[0] == Op::Ob || c.decoded.row->operands[1] == Op::Ob) return;
  if (c.decoded.row->operands[0] == Op::Ov || c.decoded.row->operands[1] == Op::Ov) return;
  const u64 disp = static_cast<u64>(i64{r.disp});
  const bool has_base = r.base < 16 * 8, has_index = r.index < 16 * 8;
  const u64 upper = r.address_bytes() == 4 ? random_.next() << 32 : 0;
  if (has_base && has_index && r.base == r.index) {
    registers.gpr[r.base / 8] = (c.target - disp) / (1 + (u64{1} << r.scale));
  } else if (has_base) {
    const u64 index = has_index ? registers.gpr[r.index / 8] << r.scale : 0;
    registers.gpr[r.base / 8] = c.target - index - disp + upper;
  } else if (has_index) {
    registers.gpr[r.index / 8] = (c.target - disp) >> r.scale;
  }
}

/// Registers that an instruction uses without an operand telling, and operands whose random values are all alike.
void Generator::aim_implicit(Case& c) {
  auto& gpr = c.registers.gpr;
  const Record& r = c.decoded.record;
  const std::string_view name = c.decoded.row->mnemonic;
  const std::string_view stem = name.substr(0, 4);
  if (is_any_of(stem, {"movs", "cmps", "stos", "lods", "scas"}) && c.decoded.row->operands[0] == Op::None) {
    gpr[RSI] = random_target();
    gpr[RDI] = random_target();
    if (random_.percent(30)) gpr[RDI] = gpr[RSI] + random_.below(33) - 16;
    // A repeated one must end, on the host as well.
    gpr[RCX] = random_.below(random_.percent(90) ? 40 : 300);
    if (random_.percent(40)) gpr[RAX] = 0;
  }
  if (name == "xlatb") gpr[RBX] = random_target() - (gpr[RAX] & 0xff);
  if (name == "maskmovq" || name == "maskmovdqu") gpr[RDI] = random_target();
  if (name == "leave" || name == "enter") gpr[RBP] = random_target();
  if (name.starts_with("bt") && r.has_memory() && r.reg != r.base && r.reg != r.index && random_.percent(80)) {
    gpr[r.reg / 8] = random_.below(0x2000) - 0x1000;
  }
  if ((name == "div" || name == "idiv") && random_.percent(70)) {
    gpr[RDX] = random_.percent(50) ? random_.below(4) : ~u64{0};
    if (c.decoded.operand_bytes == 1) gpr[RAX] = static_cast<u16>(random_.below(0x400) - 0x80);
  }
}

Case Generator::instruction(const Row& row) {
  Case c;
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
  if (displacement_at_ != 0 && displacement_at_ + 4 <= c.bytes.size()) {
    const u64 from = displacement_is_relative_ ? c.rip + c.bytes.size() : 0;
    const auto disp = static_cast<u32>(c.target - from);
    std::memcpy(c.bytes.data() + displacement_at_, &disp, 4);
    decode(c);
  }
  aim(c);
  aim_implicit(c);
  return c;
}

}  // namespace bunshin::oracle
