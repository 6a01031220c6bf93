// Registers and data of a case: what the instruction takes, and where its memory operand lies.

#include <algorithm>

#include "base/address.h"
#include "tests/core/oracle_generate.h"
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

bool is_any_of(std::string_view mnemonic, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), mnemonic) != names.end();
}

}  // namespace

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
  const bool compatibility = kind_ != CodeKind::Long;
  r.selectors = {0, 0, data_selector, 0, 0, 0};
  if (compatibility) r.selectors = {data_selector, 0, data_selector, data_selector, data_selector, data_selector};
  if (kind_ == CodeKind::Compatibility16 && random_.percent(80)) {
    // With 16-bit addresses flat segments reach nothing.
    r.selectors[static_cast<unsigned>(Seg::ES)] = r.selectors[static_cast<unsigned>(Seg::DS)] = local_selector(0);
    if (!flat_stack_) r.selectors[static_cast<unsigned>(Seg::SS)] = local_selector(random_.below(2) != 0 ? 0 : 1);
  } else if (abilities_.local_segments && random_.percent(12)) {
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
  if (kind_ != CodeKind::Long) {
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
    if (kind_ != CodeKind::Long) gpr[number] = static_cast<u32>(gpr[number]);
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
  if (kind_ != CodeKind::Long) {
    for (u64& g : gpr) g = static_cast<u32>(g);
  }
}

}  // namespace bunshin::oracle
