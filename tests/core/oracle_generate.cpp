#include "tests/core/oracle_generate.h"

#include <algorithm>
#include <cstdio>

#include "base/address.h"
#include "tests/core/oracle_segments.h"

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
                     [](Op op) { return op >= Op::M && op <= Op::Mvsib; });
}

bool has_operand(const Row& row, std::initializer_list<Op> ops) {
  return std::any_of(ops.begin(), ops.end(),
                     [&row](Op op) { return std::ranges::find(row.operands, op) != std::end(row.operands); });
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

u64 effective_address(const Case& c) {
  const Record& r = c.decoded.record;
  const auto value = [&c](u8 offset) {
    const unsigned slot = offset / 8;
    return slot < 16                     ? c.registers.gpr[slot]
           : slot == CpuState::rip_slot  ? c.rip
           : slot == CpuState::page_slot ? page_size
                                         : u64{0};
  };
  const u64 address = value(r.base) + (value(r.index) << r.scale) + static_cast<u64>(i64{r.disp});
  const unsigned bytes = r.address_bytes();
  return bytes == 8 ? address : bytes == 4 ? static_cast<u32>(address) : static_cast<u16>(address);
}

Generator::Generator(const OpcodeTable& table, const CpuProfile& profile, CodeKind kind, const Abilities& abilities,
                     u64 seed)
    : table_(table), profile_(profile), random_(seed), kind_(kind), abilities_(abilities) {
  mode_.bits = kind == CodeKind::Long ? 64 : 32;
  mode_.flat = kind == CodeKind::Long;
  mode_.stack32 = mode_.protected_mode = mode_.sse = mode_.avx = true;
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
  address16_ = address_override && kind_ == CodeKind::Compatibility;
  // Only a segment with a base reaches the data by 16-bit addresses.
  add_segment_prefix(address16_ && random_.percent(85), prefixes);
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
  if (kind_ == CodeKind::Compatibility) extensions |= 6;
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

u16 Generator::selector() {
  constexpr u16 of_the_gdt[] = {0, 1, 2, 3, code32_selector, data_selector, code64_selector, 0x2a, 0x28, 0x10, 0x18, 8};
  const u64 kind = random_.below(100);
  if (kind < 45) return random_.pick(of_the_gdt);
  if (kind < 80) {
    const auto index = static_cast<unsigned>(random_.below(local_segments.size()));
    return static_cast<u16>((local_selector(index) & ~3u) | (random_.percent(80) ? 3 : random_.below(4)));
  }
  const auto any = static_cast<u16>(random_.percent(50) ? random_.next() : random_.below(0x100));
  return (any & 0xfffc) == per_cpu_selector ? u16{0} : any;
}

void Generator::random_segments(Registers& r) {
  const bool compatibility = kind_ == CodeKind::Compatibility;
  r.selectors = {0, 0, data_selector, 0, 0, 0};
  if (compatibility) r.selectors = {data_selector, 0, data_selector, data_selector, data_selector, data_selector};
  if (abilities_.local_segments && random_.percent(12)) {
    constexpr u16 loadable[] = {0,
                                local_selector(0),
                                local_selector(1),
                                local_selector(2),
                                local_selector(3),
                                local_selector(4),
                                local_selector(5),
                                local_selector(8),
                                code32_selector};
    if (compatibility || random_.percent(20)) {
      r.selectors[static_cast<unsigned>(Seg::ES)] = random_.pick(loadable);
      r.selectors[static_cast<unsigned>(Seg::DS)] = random_.pick(loadable);
    }
    if (!flat_stack_ && random_.percent(20)) {
      constexpr u16 stacks[] = {local_selector(0), local_selector(1), local_selector(2)};
      r.selectors[static_cast<unsigned>(Seg::SS)] = random_.pick(stacks);
    }
  }
  if (!abilities_.bases) return;
  for (u64* base : {&r.fs_base, &r.gs_base}) {
    if (random_.percent(20)) continue;
    // So that offsets of 16 bits reach the data too.
    *base = data_begin + random_.below(0x4000) - 0x6000;
    // Or some of the data lies where offsets of 16 bits, or of 32, end.
    if (random_.percent(20)) *base = data_begin + 0x100 + random_.below(64) - (random_.percent(50) ? 0x10000 : 0);
    if (!compatibility && random_.percent(30))
      *base = random_.percent(50) ? random_.next() >> 18 : ~(random_.next() >> 18);
  }
}

void Generator::random_registers(Registers& r) {
  for (u64& g : r.gpr) g = value();
  if (kind_ == CodeKind::Compatibility) {
    for (u64& g : r.gpr) g = static_cast<u32>(g);
  }
  random_segments(r);
  r.gpr[RSP] = random_target() - segment_base(r, Seg::SS);
  r.flags = (random_.next() & rflags::status) | rflags::fixed | rflags::IF | (random_.percent(20) ? rflags::DF : 0);
  if (random_.percent(8)) r.flags |= rflags::AC;
  if (random_.percent(8)) r.flags |= rflags::ID;
  if (random_.percent(3)) r.flags |= rflags::NT;
  random_floating_point(r.fx);
}

void Generator::random_floating_point(FxImage& fx) {
  fill(std::span(fx.bytes).subspan(FxImage::xmm0, 256));
  fill(std::span(fx.bytes).subspan(FxImage::upper0, 256));
  // Mostly masked exceptions, any rounding, sometimes flush to zero or denormals as zero.
  u32 mxcsr = 0x1f80 | static_cast<u32>(random_.below(4) << 13);
  if (random_.percent(10)) mxcsr |= 0x8000;
  if (random_.percent(10)) mxcsr |= 0x40;
  if (random_.percent(10)) mxcsr |= static_cast<u32>(random_.below(64));
  if (random_.percent(8)) mxcsr &= ~static_cast<u32>(random_.below(64) << 7);
  fx.set<u32>(FxImage::mxcsr, mxcsr);
  u16 control = static_cast<u16>(0x7f | random_.below(4) << 10);
  control = static_cast<u16>(control | random_.pick(std::array<u16, 3>{0, 0x200, 0x300}));
  u16 status = static_cast<u16>((random_.next() & 0x4700) | random_.below(8) << 11);
  if (random_.percent(10)) control &= static_cast<u16>(~random_.below(64));
  if (random_.percent(10)) status |= static_cast<u16>(random_.below(128));
  // ES and B follow from the rest (SDM vol. 1, 8.1.3.3).
  if ((status & ~control & 0x3f) != 0) status |= 0x8080;
  fx.set<u16>(FxImage::control, control);
  fx.set<u16>(FxImage::status, status);
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
  if (kind < 82) return data_begin + 0x100 + random_.below(size - 0x400);
  if (kind < 92) return data_begin + page_size * (1 + random_.below(3)) - random_.below(64);
  if (kind < 94) return data_end - 16 + random_.below(page_size);
  // The second page is read-only, or missing.
  if (kind < 96) return data_end - random_.below(32);
  return random_.percent(50) ? read_only_end - random_.below(32) : data_begin - random_.below(16);
}

u64 Generator::segment_base(const Registers& r, Seg seg) const {
  if (seg == Seg::FS) return r.fs_base;
  if (seg == Seg::GS) return r.gs_base;
  if (kind_ == CodeKind::Long || seg == Seg::CS) return 0;
  return data_segment(r.selectors[static_cast<unsigned>(seg)], abilities_.local_segments).base;
}

/// Sets base or index so that the operand lies at the target, where that can be done.
void Generator::aim(Case& c) {
  const Record& r = c.decoded.record;
  const Row& row = *c.decoded.row;
  const u64 base = segment_base(c.registers, static_cast<Seg>(r.segment));
  u64 offset = c.target - base;
  const bool based = r.segment >= static_cast<unsigned>(Seg::FS);
  if (based && r.address_bytes() != 8 && random_.percent(10)) offset = 0 - random_.below(32);
  if (has_operand(row, {Op::Ob, Op::Ov})) {
    if (random_.percent(20)) return;
    const unsigned size = r.address_bytes();
    std::memcpy(c.bytes.data() + c.bytes.size() - size, &offset, size);
    decode(c);
  } else if (r.has_memory()) {
    aim_base(c, offset);
  }
}

void Generator::aim_base(Case& c, u64 offset) {
  const Record& r = c.decoded.record;
  auto& gpr = c.registers.gpr;
  const unsigned bytes = r.address_bytes();
  const u64 mask = bytes == 8 ? ~u64{0} : bytes == 4 ? 0xffffffff : 0xffff;
  const auto set = [&](unsigned number, u64 v) {
    gpr[number] = (gpr[number] & ~mask) | (v & mask);
    if (bytes == 4) gpr[number] = (random_.next() << 32) | static_cast<u32>(v);
    if (kind_ == CodeKind::Compatibility) gpr[number] = static_cast<u32>(gpr[number]);
  };
  const u64 disp = static_cast<u64>(i64{r.disp});
  const bool has_base = r.base < 16 * 8, has_index = r.index < 16 * 8;
  if (has_base && has_index && r.base == r.index) {
    set(r.base / 8, (offset - disp) / (1 + (u64{1} << r.scale)));
  } else if (has_base) {
    const u64 index = has_index ? gpr[r.index / 8] << r.scale : 0;
    set(r.base / 8, offset - index - disp);
  } else if (has_index) {
    set(r.index / 8, (offset - disp) >> r.scale);
  }
}

void Generator::aim_strings(Case& c) {
  auto& gpr = c.registers.gpr;
  const auto source = static_cast<Seg>(c.decoded.record.segment);
  gpr[RSI] = random_target() - segment_base(c.registers, source);
  gpr[RDI] = random_target() - segment_base(c.registers, Seg::ES);
  if (random_.percent(30)) gpr[RDI] = gpr[RSI] + random_.below(33) - 16;
  // A repeated one must end, on the host as well.
  gpr[RCX] = random_.below(random_.percent(90) ? 40 : 300);
  if (random_.percent(40)) gpr[RAX] = 0;
  if (kind_ == CodeKind::Long) return;
  for (const unsigned g : {RSI, RDI}) gpr[g] = static_cast<u32>(gpr[g]);
}

/// Gathers: small indices, as 32 bits or as 64.
void Generator::aim_vectors(Case& c) {
  const auto number = static_cast<unsigned>(c.decoded.record.imm >> Record::extra_shift) & 15;
  for (const unsigned at : {FxImage::xmm0, FxImage::upper0}) {
    for (unsigned i = 0; i < 2; ++i) {
      u64 index = random_.below(0x40) - 0x20;
      if (random_.percent(50)) index = static_cast<u32>(index) | (random_.below(0x40) - 0x20) << 32;
      c.registers.fx.set<u64>(at + number * 16 + i * 8, index);
    }
  }
}

void Generator::aim_selectors(Case& c) {
  const std::string_view name = c.decoded.row->mnemonic;
  const Record& r = c.decoded.record;
  auto& gpr = c.registers.gpr;
  const bool takes_selector =
      is_any_of(name, {"lar", "lsl", "verr", "verw", "arpl", "lldt", "ltr"}) || c.decoded.row->operands[0] == Op::Sw;
  if (takes_selector && !r.has_memory() && r.rm / 8 < 16) {
    u64& g = gpr[r.rm / 8];
    g = (g & ~u64{0xffff}) | selector();
  }
}

/// Registers that an instruction uses without an operand telling, and operands whose random values are all alike.
void Generator::aim_implicit(Case& c) {
  auto& gpr = c.registers.gpr;
  const Record& r = c.decoded.record;
  const Row& row = *c.decoded.row;
  const std::string_view name = row.mnemonic;
  const std::string_view stem = name.substr(0, 4);
  if (is_any_of(stem, {"movs", "cmps", "stos", "lods", "scas"}) && row.operands[0] == Op::None) aim_strings(c);
  const u64 data_base = segment_base(c.registers, static_cast<Seg>(r.segment));
  if (name == "xlatb") gpr[RBX] = random_target() - (gpr[RAX] & 0xff) - data_base;
  if (is_any_of(name, {"maskmovq", "maskmovdqu", "vmaskmovdqu"})) gpr[RDI] = random_target() - data_base;
  if (name == "leave" || name == "enter") gpr[RBP] = random_target() - segment_base(c.registers, Seg::SS);
  const bool bit_offset = is_any_of(name, {"bt", "bts", "btr", "btc"}) && row.operands[1] == Op::Gv;
  if (bit_offset && r.has_memory() && r.reg != r.base && r.reg != r.index && random_.percent(80))
    gpr[r.reg / 8] = random_.below(0x2000) - 0x1000;
  if ((name == "div" || name == "idiv") && random_.percent(70)) {
    gpr[RDX] = random_.percent(50) ? random_.below(4) : ~u64{0};
    if (c.decoded.operand_bytes == 1) gpr[RAX] = static_cast<u16>(random_.below(0x400) - 0x80);
  }
  if (name == "wrfsbase" || name == "wrgsbase") {
    // Almost every random value is not canonical.
    if (random_.percent(70)) gpr[r.rm / 8] = static_cast<u64>(static_cast<i64>(gpr[r.rm / 8] << 16) >> 16);
  }
  if (is_any_of(name, {"pcmpestri", "pcmpestrm", "vpcmpestri", "vpcmpestrm"})) {
    for (const unsigned g : {RAX, RDX}) gpr[g] = random_.below(40) - 20;
  }
  if (name.starts_with("xsave") || name == "xrstor") {
    gpr[RAX] = random_.below(8) | random_.below(2) << 30;
    gpr[RDX] = random_.below(2) << 8;
  }
  if (has_operand(row, {Op::Mvsib})) aim_vectors(c);
  if (abilities_.gdt) aim_selectors(c);
  if (kind_ == CodeKind::Compatibility) {
    for (u64& g : gpr) g = static_cast<u32>(g);
  }
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
