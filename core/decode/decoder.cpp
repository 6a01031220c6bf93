#include "core/decode/decoder.h"

#include <algorithm>
#include <cstring>

#include "core/engine/dispatch.h"
#include "core/engine/mark.h"

namespace bunshin {

namespace {

constexpr unsigned max_length = 15;

const Record* run_undefined(Cpu& cpu, const Record* record) {
  cpu.raise(Vector::UD);
  return leave_block(cpu, record);
}

const Record* run_privileged(Cpu& cpu, const Record* record) {
  cpu.raise(Vector::GP, 0);
  return leave_block(cpu, record);
}

const Record* run_unimplemented(Cpu& cpu, const Record* record) {
  cpu.leave = Leave::Unimplemented;
  return leave_block(cpu, record);
}

/// CR0.EM makes MMX and SSE undefined but x87 unavailable; CR0.TS makes all unavailable (SDM vol. 3, table 2-2).
const Record* run_x87_unavailable(Cpu& cpu, const Record* record) {
  cpu.raise(Vector::NM);
  return leave_block(cpu, record);
}

const Record* run_simd_unavailable(Cpu& cpu, const Record* record) {
  const bool emulated = (cpu.state.cr0 & cr0::EM) != 0;
  const bool enabled = (cpu.state.cr4 & cr4::OSFXSR) != 0;
  cpu.raise(emulated || !enabled ? Vector::UD : Vector::NM);
  return leave_block(cpu, record);
}

/// VEX-encoded vector instructions look at neither CR0.EM nor CR4.OSFXSR (SDM vol. 2, 2.4).
const Record* run_avx_unavailable(Cpu& cpu, const Record* record) {
  cpu.raise(cpu.avx_enabled() ? Vector::NM : Vector::UD);
  return leave_block(cpu, record);
}

const Record* run_mmx_unavailable(Cpu& cpu, const Record* record) {
  cpu.raise((cpu.state.cr0 & cr0::EM) != 0 ? Vector::UD : Vector::NM);
  return leave_block(cpu, record);
}

u8 gpr_offset(unsigned number) { return static_cast<u8>(number * 8); }

/// Without REX, numbers 4-7 are AH, CH, DH, BH.
u8 byte_gpr_offset(unsigned number, bool rex) {
  return !rex && number >= 4 && number < 8 ? static_cast<u8>((number - 4) * 8 + 1) : gpr_offset(number);
}

/// Reads the instruction's bytes in order; running out is remembered, not reported at each step.
class Bytes {
 public:
  explicit Bytes(std::span<const u8> bytes) : bytes_(bytes) {}
  u8 peek() const { return position_ < bytes_.size() ? bytes_[position_] : u8{0}; }
  u8 next() {
    const u8 b = peek();
    ++position_;
    return b;
  }
  u64 unsigned_value(unsigned size) {
    u64 v = 0;
    if (position_ + size <= bytes_.size()) std::memcpy(&v, bytes_.data() + position_, size);
    position_ += size;
    return v;
  }
  u64 signed_value(unsigned size) {
    const unsigned shift = 64 - size * 8;
    return static_cast<u64>(static_cast<i64>(unsigned_value(size) << shift) >> shift);
  }
  unsigned position() const { return position_; }
  bool ran_out() const { return position_ > bytes_.size(); }

 private:
  std::span<const u8> bytes_;
  unsigned position_ = 0;
};

class Decoder {
 public:
  Decoder(const OpcodeTable& table, const CpuProfile& profile, const CodeMode& mode, std::span<const u8> bytes)
      : table_(table),
        profile_(profile),
        mode_(mode),
        in_(bytes.first(std::min<std::size_t>(bytes.size(), max_length))),
        truncated_(bytes.size() < max_length) {}

  DecodeStatus decode(unsigned offset, unsigned page_offset, Decoded& out) {
    out = Decoded();
    out.code_bits = mode_.bits;
    out.record.offset = static_cast<u16>(offset);
    take_prefixes();
    const Pattern* pattern = find_row();
    if (in_.ran_out()) return ran_out();
    if (pattern == nullptr) return undefined(out);
    out.row = pattern->row;
    out.opcode = opcode_;
    out.record.row = pattern->index;
    uses_vvvv_ = pattern->uses_vvvv;
    take_sizes(*pattern, out);
    if (pattern->has_modrm) take_modrm(*pattern, out);
    take_operands(*pattern, out);
    if (in_.ran_out()) return ran_out();
    finish(out);
    out.linkable = is_linkable(out, page_offset);
    if (opcode_ == 0x1f && pattern->map == 1 && mark::is_mark(out)) out.row = &mark::row();
    out.record.run = choose_handler(out);
    return DecodeStatus::Ok;
  }

 private:
  DecodeStatus ran_out() const { return truncated_ ? DecodeStatus::NeedMore : DecodeStatus::TooLong; }

  DecodeStatus undefined(Decoded& out) {
    out.record.length = static_cast<u8>(in_.position());
    out.record.run = run_undefined;
    return DecodeStatus::Ok;
  }

  void take_prefixes() {
    for (;; in_.next()) {
      const u8 b = in_.peek();
      if (mode_.bits == 64 && (b & 0xf0) == 0x40) {
        rex_ = b;
        continue;
      }
      switch (b) {
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
          if (mode_.bits != 64) segment_ = static_cast<i8>((b >> 3) & 3);
          break;
        case 0x64:
        case 0x65: segment_ = static_cast<i8>(b - 0x60); break;
        case 0x66: operand_override_ = true; break;
        case 0x67: address_override_ = true; break;
        case 0xf0: lock_ = true; break;
        case 0xf2:
        case 0xf3: repeat_ = b; break;
        default: return;
      }
      // REX counts only directly before the opcode (SDM vol. 2, 2.2.1).
      rex_ = 0;
      if (in_.position() > max_length) return;
    }
  }

  /// C4 and C5 are LES and LDS outside 64-bit mode where what follows is a ModRM byte of a memory operand, and in real
  /// and virtual-8086 mode always (SDM vol. 2, 2.3.5).
  bool is_vex(u8 opcode) const {
    if (opcode != 0xc4 && opcode != 0xc5) return false;
    return mode_.bits == 64 || (mode_.protected_mode && in_.peek() >= 0xc0);
  }

  /// Takes the bytes behind C4 or C5 (SDM vol. 2, figure 2-9). False if the map is reserved. R, X, B and W are kept as REX
  /// has them; outside 64-bit mode they mean nothing, W apart.
  bool take_vex(u8 first, unsigned& map) {
    static constexpr u8 mandatory[4] = {1, 0x66, 0xf3, 0xf2};
    vex_ = true;
    prefixed_ = lock_ || operand_override_ || repeat_ != 0 || rex_ != 0;
    u8 last = in_.next();
    map = 1;
    u8 rex = (~last >> 5) & 4;
    if (first == 0xc4) {
      map = last & 0x1f;
      rex = (~last >> 5) & 7;
      last = in_.next();
      rex |= (last >> 4) & 8;
    }
    rex_ = mode_.bits == 64 ? rex : rex & 8;
    vvvv_is_free_ = (~last >> 3 & 15) == 0;
    vvvv_ = (~last >> 3) & 15;
    long_vector_ = (last & 4) != 0;
    mandatory_ = mandatory[last & 3];
    map += Pattern::vex_maps;
    return map > Pattern::vex_maps && map < 2 * Pattern::vex_maps;
  }

  const Pattern* find_row() {
    unsigned map = 0;
    u8 opcode = in_.next();
    if (is_vex(opcode)) {
      const bool known_map = take_vex(opcode, map);
      opcode = in_.next();
      if (!known_map) return nullptr;
    } else if (opcode == 0x0f) {
      map = 1;
      opcode = in_.next();
      if (opcode == 0x38 || opcode == 0x3a) {
        map = opcode == 0x38 ? 2 : 3;
        opcode = in_.next();
      }
    }
    opcode_ = opcode;
    bool reads_modrm = false;
    for (const Pattern& p : table_.candidates(map, opcode)) {
      if (matches(p)) return &p;
      reads_modrm |= p.has_modrm;
    }
    // Nothing is said about a group without its ModRM byte, which belongs to the instruction even if there is none: another one
    // in its place may be defined.
    if (reads_modrm) in_.next();
    return nullptr;
  }

  bool matches(const Pattern& p) const {
    const u8 mandatory = vex_ ? mandatory_ : repeat_ != 0 ? repeat_ : operand_override_ ? u8{0x66} : u8{1};
    if (p.mandatory != 0 && p.mandatory != mandatory) return false;
    if (p.vex_l >= 0 && (p.vex_l == 1) != long_vector_) return false;
    if (p.rex_w >= 0 && p.rex_w != ((rex_ >> 3) & 1)) return false;
    if (p.has_modrm) {
      const u8 modrm = in_.peek();
      if (p.modrm >= 0 && p.modrm != modrm) return false;
      if (p.reg_field >= 0 && p.reg_field != ((modrm >> 3) & 7)) return false;
      if (p.memory >= 0 && (p.memory == 1) != (modrm < 0xc0)) return false;
    }
    const Row& row = *p.row;
    if ((row.attributes & attr::invalid64) != 0 && mode_.bits == 64) return false;
    if ((row.attributes & attr::only64) != 0 && mode_.bits != 64) return false;
    if ((row.attributes & attr::protected_only) != 0 && !mode_.protected_mode) return false;
    if ((row.attributes & attr::avx) != 0 && !profile_.has(Feature::Avx)) return false;
    if ((row.attributes & attr::avx2_256) != 0 && long_vector_ && !profile_.has(Feature::Avx2)) return false;
    return profile_.has(row.feature) || row.feature == Feature::Base;
  }

  void take_sizes(const Pattern& p, Decoded& out) {
    const u32 attributes = p.row->attributes;
    unsigned operand = mode_.bits == 16 ? 2 : 4;
    if (p.vex()) {
      operand = mode_.bits == 64 && (rex_ & 8) != 0 ? 8 : 4;
    } else if (mode_.bits == 64) {
      const bool wide = (rex_ & 8) != 0;
      if ((attributes & attr::force64) != 0)
        operand = 8;
      else if (wide)
        operand = 8;
      else if (operand_override_)
        operand = 2;
      else if ((attributes & attr::default64) != 0)
        operand = 8;
    } else if (operand_override_) {
      operand = 6 - operand;
    }
    if (is_byte_row(*p.row)) operand = 1;
    if (operand == 2 && has_y_operand(*p.row)) operand = 4;
    out.operand_bytes = operand;
    out.vector_bytes = long_vector_ ? 32 : 16;
    address_bytes_ = mode_.bits / 8;
    if (address_override_) address_bytes_ = mode_.bits == 32 ? 2 : 4;
    const unsigned operand_log = operand == 1 ? 0 : operand == 2 ? 1 : operand == 4 ? 2 : 3;
    const unsigned address_log = address_bytes_ == 2 ? 0 : address_bytes_ == 4 ? 1 : 2;
    out.record.prefixes = static_cast<u8>(operand_log | address_log << 2 | (repeat_ == 0xf3 ? prefix::rep : 0) |
                                          (repeat_ == 0xf2 ? prefix::repne : 0) | (lock_ ? prefix::lock : 0));
  }

  static bool has_y_operand(const Row& row) {
    return std::any_of(std::begin(row.operands), std::end(row.operands),
                       [](Op op) { return op == Op::Gy || op == Op::Ey || op == Op::Ry || op == Op::By; });
  }

  static bool is_byte_row(const Row& row) {
    if ((row.attributes & attr::byte_operands) != 0) return true;
    switch (row.operands[0]) {
      case Op::Eb:
      case Op::Gb:
      case Op::Zb:
      case Op::Al:
      case Op::Ob: return true;
      default: return false;
    }
  }

  static bool has_control_register(const Row& row) { return row.operands[0] == Op::Cd || row.operands[1] == Op::Cd; }

  void take_modrm(const Pattern& p, Decoded& out) {
    const u8 modrm = in_.next();
    mod_ = modrm >> 6;
    reg_ = ((modrm >> 3) & 7) | ((rex_ & 4) << 1);
    rm_ = (modrm & 7) | ((rex_ & 1) << 3);
    // AMD's way to CR8 outside 64-bit mode: MOV CR0 with LOCK (APM vol. 3, MOV CRn).
    if (lock_ && reg_ == 0 && has_control_register(*p.row) && profile_.has(Feature::AltMovCr8)) {
      reg_ = 8;
      lock_ = false;
    }
    // FOP; the escape opcodes have no immediate.
    if ((p.row->attributes & attr::x87) != 0) out.record.imm = (opcode_ & 7u) << 8 | modrm;
    for (const Op op : p.row->operands) {
      // MOV to and from control and debug registers ignores mod.
      if (op == Op::Ry || op == Op::Rv) mod_ = 3;
      vsib_ |= op == Op::Mvsib;
    }
    has_sib_ = mod_ != 3 && (modrm & 7) == 4 && address_bytes_ != 2;
    if (mod_ == 3 || p.modrm >= 0) return;
    out.memory = true;
    if (address_bytes_ == 2)
      take_address16(modrm, out.record);
    else
      take_address(modrm, out.record);
  }

  void take_address16(u8 modrm, Record& r) {
    static constexpr u8 bases[8] = {RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX};
    static constexpr u8 indexes[8] = {RSI, RDI, RSI, RDI, 0xff, 0xff, 0xff, 0xff};
    const unsigned rm = modrm & 7;
    r.index = indexes[rm] == 0xff ? gpr_offset(CpuState::zero_slot) : gpr_offset(indexes[rm]);
    if (mod_ == 0 && rm == 6) {
      r.base = gpr_offset(CpuState::zero_slot);
      r.disp = static_cast<i32>(in_.signed_value(2));
      default_segment_ = Seg::DS;
      return;
    }
    r.base = gpr_offset(bases[rm]);
    default_segment_ = bases[rm] == RBP ? Seg::SS : Seg::DS;
    if (mod_ != 0) r.disp = static_cast<i32>(in_.signed_value(mod_ == 1 ? 1 : 2));
  }

  void take_address(u8 modrm, Record& r) {
    unsigned base = rm_;
    r.index = gpr_offset(CpuState::zero_slot);
    const bool has_sib = (modrm & 7) == 4;
    if (has_sib) {
      const u8 sib = in_.next();
      base = (sib & 7) | ((rex_ & 1) << 3);
      const unsigned index = ((sib >> 3) & 7) | ((rex_ & 2) << 2);
      vector_index_ = static_cast<u8>(index);
      if (vsib_) {
        r.scale = sib >> 6;
      } else if (index != RSP) {
        r.index = gpr_offset(index);
        r.scale = sib >> 6;
      }
    }
    default_segment_ = (base == RSP || base == RBP) ? Seg::SS : Seg::DS;
    if (mod_ == 0 && (base & 7) == RBP) {
      rip_relative_ = mode_.bits == 64 && !has_sib;
      r.base = gpr_offset(rip_relative_ ? CpuState::rip_slot : CpuState::zero_slot);
      r.disp = static_cast<i32>(in_.signed_value(4));
      default_segment_ = Seg::DS;
      return;
    }
    r.base = gpr_offset(base);
    if (mod_ != 0) r.disp = static_cast<i32>(in_.signed_value(mod_ == 1 ? 1 : 4));
  }

  /// Outside 64-bit mode the top bit of a register number in VEX.vvvv or an immediate is ignored.
  u8 existing(u8 number) const { return mode_.bits == 64 ? number : number & 7; }

  void take_operands(const Pattern& p, Decoded& out) {
    Record& r = out.record;
    const bool rex = rex_ != 0;
    const unsigned in_opcode = (opcode_ & 7u) | ((rex_ & 1u) << 3);
    unsigned immediate_shift = 0;
    const auto immediate = [&](u64 value) {
      r.imm |= value << immediate_shift;
      immediate_shift += 16;  // ENTER and EXTRQ-like rows: the second immediate lies above the first 16 bits
    };
    for (const Op op : p.row->operands) {
      switch (op) {
        case Op::Gb: r.reg = byte_gpr_offset(reg_, rex); break;
        case Op::Gw:
        case Op::Gd:
        case Op::Gv:
        case Op::Gy: r.reg = gpr_offset(reg_); break;
        case Op::Zb: r.reg = byte_gpr_offset(in_opcode, rex); break;
        case Op::Zv: r.reg = gpr_offset(in_opcode); break;
        case Op::Eb:
          if (!out.memory) r.rm = byte_gpr_offset(rm_, rex);
          break;
        case Op::Ew:
        case Op::Ed:
        case Op::Eq:
        case Op::Ev:
        case Op::Ey:
        case Op::Rv:
        case Op::Ry:
          if (!out.memory) r.rm = gpr_offset(rm_);
          break;
        case Op::Sw:
        case Op::Pq: r.reg = static_cast<u8>(reg_ & 7); break;
        case Op::Cd:
        case Op::Dd:
        case Op::Vx: r.reg = static_cast<u8>(reg_); break;
        case Op::Ux:
        case Op::Wx:
        case Op::Wdq:
        case Op::Wd:
        case Op::Wq:
        case Op::Ww:
          if (!out.memory) r.rm = static_cast<u8>(rm_);
          break;
        case Op::Nq:
        case Op::Qq:
        case Op::Qd:
        case Op::Sti:
          if (!out.memory) r.rm = static_cast<u8>(rm_ & 7);
          break;
        case Op::Hx: r.imm |= u64{existing(vvvv_)} << Record::vvvv_shift; break;
        case Op::By: r.imm |= u64{gpr_offset(existing(vvvv_))} << Record::vvvv_shift; break;
        case Op::Lx: {
          const u64 byte = in_.unsigned_value(1);
          r.imm |= byte | u64{existing(static_cast<u8>(byte >> 4))} << Record::extra_shift;
          break;
        }
        case Op::Mvsib: r.imm |= u64{vector_index_} << Record::extra_shift; break;
        case Op::Ib: immediate(in_.unsigned_value(1)); break;
        case Op::Ibs: immediate(in_.signed_value(1)); break;
        case Op::Iw: immediate(in_.unsigned_value(2)); break;
        case Op::Iz: immediate(in_.signed_value(out.operand_bytes == 2 ? 2 : 4)); break;
        case Op::Iv: immediate(in_.unsigned_value(out.operand_bytes)); break;
        case Op::Jb: immediate(in_.signed_value(1)); break;
        case Op::Jz: immediate(in_.signed_value(out.operand_bytes == 2 ? 2 : 4)); break;
        case Op::Ap: {
          const u64 target = in_.unsigned_value(out.operand_bytes == 2 ? 2 : 4);
          r.imm = target | in_.unsigned_value(2) << 32;
          break;
        }
        case Op::Ob:
        case Op::Ov:
          r.imm = in_.unsigned_value(address_bytes_);
          r.base = r.index = gpr_offset(CpuState::zero_slot);
          out.memory = true;
          break;
        default: break;
      }
    }
  }

  void finish(Decoded& out) {
    Record& r = out.record;
    r.length = static_cast<u8>(in_.position());
    const Seg segment = segment_ >= 0 ? static_cast<Seg>(segment_) : default_segment_;
    r.segment = static_cast<u8>(segment) & 0xf;
    if (out.memory) r.prefixes |= prefix::memory;
    out.observed = mode_.observed;
    out.flat = mode_.flat && (mode_.bits == 64 ? segment < Seg::FS : segment < Seg::FS && segment != Seg::CS) &&
               address_bytes_ != 2;
    if (rip_relative_) {
      const i64 folded = i64{r.disp} + r.offset + r.length;
      r.disp = static_cast<i32>(folded);
      if (folded > INT32_MAX) {
        r.index = gpr_offset(CpuState::page_slot);
        r.disp = static_cast<i32>(folded - static_cast<i64>(page_size));
      }
    }
  }

  bool is_linkable(const Decoded& d, unsigned page_offset) const {
    const Op op = d.row->operands[0];
    if ((op != Op::Jb && op != Op::Jz) || !mode_.flat || d.operand_bytes * 8 != mode_.bits) return false;
    const u64 successor = page_offset + d.record.length;
    return successor < page_size && successor + d.record.imm < page_size;
  }

  Handler choose_handler(const Decoded& d) const {
    const Row& row = *d.row;
    if (vex_ && !vex_is_legal(d)) return run_undefined;
    if (lock_ && ((row.attributes & attr::lockable) == 0 || !d.memory)) return run_undefined;
    if (needs_memory(row) && !d.memory) return run_undefined;
    if (names_missing_register(row)) return run_undefined;
    if ((row.attributes & attr::x87) != 0 && !mode_.fpu) return run_x87_unavailable;
    if ((row.attributes & attr::mmx) != 0 && !mode_.fpu) return run_mmx_unavailable;
    if ((row.attributes & attr::sse) != 0 && !mode_.sse) return run_simd_unavailable;
    if ((row.attributes & attr::avx) != 0 && !mode_.avx) return run_avx_unavailable;
    if ((row.attributes & attr::privileged) != 0 && mode_.cpl != 0) return run_privileged;
    return row.bind == nullptr ? run_unimplemented : row.bind(d);
  }

  /// #UD for prefixes that VEX contains or forbids, for a VEX.vvvv that names no operand, and for vector indexes without
  /// a SIB byte or with one register in two parts (SDM vol. 2, 2.3 and 2.4).
  bool vex_is_legal(const Decoded& d) const {
    if (prefixed_ || (!uses_vvvv_ && !vvvv_is_free_)) return false;
    if (!vsib_) return true;
    const u8 mask = existing(vvvv_);
    return d.memory && has_sib_ && reg_ != mask && reg_ != vector_index_ && mask != vector_index_;
  }

  /// Control and debug registers that do not exist are #UD whatever the privilege (SDM vol. 2, MOV).
  bool names_missing_register(const Row& row) const {
    for (const Op op : row.operands) {
      if (op == Op::Cd && reg_ != 0 && reg_ != 2 && reg_ != 3 && reg_ != 4 && reg_ != 8) return true;
      if (op == Op::Dd && reg_ >= 8) return true;
    }
    return false;
  }

  static bool needs_memory(const Row& row) {
    for (const Op op : row.operands) {
      if (op >= Op::M && op <= Op::Mvsib) return true;
    }
    return false;
  }

  const OpcodeTable& table_;
  const CpuProfile& profile_;
  const CodeMode& mode_;
  Bytes in_;
  bool truncated_;
  u8 rex_ = 0, repeat_ = 0, opcode_ = 0;
  bool operand_override_ = false, address_override_ = false, lock_ = false, rip_relative_ = false;
  bool vex_ = false, long_vector_ = false, uses_vvvv_ = false, vsib_ = false, has_sib_ = false;
  bool vvvv_is_free_ = true;                        ///< all four bits of it say that it is no operand
  bool prefixed_ = false;                           ///< 66, F2, F3, LOCK or REX before VEX
  u8 mandatory_ = 1, vvvv_ = 0, vector_index_ = 0;  ///< `mandatory_` as Pattern has it
  i8 segment_ = -1;
  Seg default_segment_ = Seg::DS;
  unsigned mod_ = 3, reg_ = 0, rm_ = 0, address_bytes_ = 8;
};

}  // namespace

DecodeStatus decode(const OpcodeTable& table, const CpuProfile& profile, const CodeMode& mode,
                    std::span<const u8> bytes, unsigned offset, unsigned page_offset, Decoded& out) {
  return Decoder(table, profile, mode, bytes).decode(offset, page_offset, out);
}

}  // namespace bunshin
