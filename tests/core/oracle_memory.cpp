#include "tests/core/oracle_memory.h"

#include <algorithm>

#include "base/address.h"
#include "tests/core/oracle_segments.h"

namespace bunshin::oracle {

namespace {

bool is_any_of(std::string_view mnemonic, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), mnemonic) != names.end();
}

u64 base_of(const Case& c, Seg seg) {
  if (seg == Seg::FS) return c.registers.fs_base;
  if (seg == Seg::GS) return c.registers.gs_base;
  if (c.kind == CodeKind::Long || seg == Seg::CS) return 0;
  return data_segment(c.registers.selectors[static_cast<unsigned>(seg)], true).base;
}

u64 linear(const Case& c, Seg seg, u64 offset) {
  const u64 address = base_of(c, seg) + offset;
  return c.kind == CodeKind::Long ? address : static_cast<u32>(address);
}

template <class T>
std::span<const u8> bytes_of(const T& v) {
  return {reinterpret_cast<const u8*>(&v), sizeof v};
}

class Preparation {
 public:
  Preparation(const Case& c, Generator& generator, bool selectors_allowed, const WriteData& write)
      : c_(c),
        generator_(generator),
        random_(generator.random()),
        write_(write),
        selectors_allowed_(selectors_allowed),
        name_(c.decoded.row->mnemonic),
        operand_(operand_address(c)) {}

  void fill() {
    std::array<u8, 64> fresh;
    generator_.fill(fresh);
    write_(std::clamp<u64>(c_.target, data_begin, data_end - fresh.size()), fresh);
    if (c_.decoded.row->operands[0] != Op::None || c_.decoded.memory) memory_operand();
    stack_operand();
  }

 private:
  template <class T>
  void put(u64 address, T v) {
    if (address >= data_begin && address <= data_end - sizeof v) write_(address, bytes_of(v));
  }

  u16 selector() { return selectors_allowed_ ? generator_.selector() : u16{0}; }

  void memory_operand() {
    if (!c_.decoded.memory) return;
    const unsigned size = c_.decoded.operand_bytes;
    if (is_any_of(name_, {"lar", "lsl", "verr", "verw"}) || (name_ == "mov" && c_.decoded.row->operands[0] == Op::Sw))
      put(operand_, selector());
    if (is_any_of(name_, {"les", "lds", "lss", "lfs", "lgs"})) put(operand_ + size, selector());
    if (name_ == "bound") put_bounds(size);
    // Reserved bits are #GP, and nothing else would happen.
    if (is_any_of(name_, {"ldmxcsr", "vldmxcsr"}) && random_.percent(85)) put(operand_, random_mxcsr());
    if (name_ == "fxrstor" && random_.percent(90)) put_image(512);
    if (name_ != "xrstor") return;
    // The host's operating system may have enabled more components than these.
    put(operand_ + FxImage::in_use, random_.below(32));
    put(operand_ + FxImage::in_use + 8, u64{0});
    if (random_.percent(90)) put_image(FxImage::size);
  }

  /// A state that can be loaded: that of the case, but for MXCSR and the header of XSAVE.
  void put_image(unsigned size) {
    FxImage image = c_.registers.fx;
    if (random_.percent(95)) image.set<u32>(FxImage::mxcsr, random_mxcsr());
    const u64 in_use = random_.below(8);
    image.set<u64>(FxImage::in_use, random_.percent(95) ? in_use : random_.below(32));
    constexpr u64 compacted = u64{1} << 63;
    if (random_.percent(30)) image.set<u64>(FxImage::in_use + 8, compacted | in_use | random_.below(8));
    if (random_.percent(3)) image.set<u64>(FxImage::in_use + 8 * random_.below(8), random_.below(4));
    for (unsigned i = 0; i < size; i += 8) put(operand_ + i, image.get<u64>(i));
  }

  u32 random_mxcsr() { return static_cast<u32>(random_.next()) & 0xffff; }

  void put_bounds(unsigned size) {
    const u64 index = c_.registers.gpr[c_.decoded.record.reg / 8];
    const u64 below = random_.below(3), above = random_.below(3) - 1;
    if (size == 2) {
      put(operand_, static_cast<u16>(index - below));
      put(operand_ + 2, static_cast<u16>(index + above));
    } else {
      put(operand_, static_cast<u32>(index - below));
      put(operand_ + 4, static_cast<u32>(index + above));
    }
  }

  void stack_operand() {
    const u64 top = stack_address(c_);
    const Op op = c_.decoded.row->operands[0];
    if (name_ == "pop" && op >= Op::Es && op <= Op::Gs) put(top, selector());
    if (name_ != "popf") return;
    put(top, static_cast<u8>(random_.next()));
    // Without single steps.
    put(top + 1, static_cast<u8>(random_.next() & ~(rflags::TF >> 8)));
    if (c_.decoded.operand_bytes != 2) put(top + 2, static_cast<u16>(random_.next()));
  }

  const Case& c_;
  Generator& generator_;
  Random& random_;
  const WriteData& write_;
  bool selectors_allowed_;
  std::string_view name_;
  u64 operand_;
};

}  // namespace

u64 operand_address(const Case& c) {
  return linear(c, static_cast<Seg>(c.decoded.record.segment), effective_address(c));
}

void prepare_memory(const Case& c, Generator& generator, bool selectors_allowed, const WriteData& write) {
  Preparation(c, generator, selectors_allowed, write).fill();
}

u64 stack_address(const Case& c) {
  const u64 top = c.registers.gpr[RSP];
  if (c.kind == CodeKind::Long) return top;
  const Segment ss = data_segment(c.registers.selectors[static_cast<unsigned>(Seg::SS)], true);
  return static_cast<u32>(ss.base + (ss.is_big() ? top : static_cast<u16>(top)));
}

namespace {

/// Of FXSAVE and the legacy region of XSAVE.
std::vector<Field> fxsave_fields(const Case& c) {
  const u64 at = operand_address(c);
  const unsigned end = c.kind == CodeKind::Long ? 416 : 288;
  // FOP, FIP and FDP; MXCSR_MASK; behind the last XMM register; beside the x87 registers.
  std::vector<Field> fields = {{at + 5, 19}, {at + 28, 4}, {at + end, 512 - end}};
  for (unsigned i = 0; i < 8; ++i) fields.push_back({at + FxImage::st0 + i * 16 + 10, 6});
  return fields;
}

}  // namespace

std::vector<Field> uncompared_fields(const Case& c) {
  const Row& row = *c.decoded.row;
  if (row.mnemonic == "fxsave" || row.mnemonic.starts_with("xsave")) return fxsave_fields(c);
  // Processors may leave the upper half of the word (SDM vol. 2, PUSH).
  const bool segment = row.operands[0] >= Op::Es && row.operands[0] <= Op::Gs;
  if (row.mnemonic == "push" && segment && c.decoded.operand_bytes == 4) return {{stack_address(c) - 2, 2}};
  if (row.mnemonic != "fnsave" && row.mnemonic != "fnstenv") return {};
  const u64 at = operand_address(c);
  // The pointers, and in the 32-bit format the upper halves of the words before them (SDM vol. 1, figure 8-9).
  if (c.decoded.operand_bytes == 2) return {{at + 6, 8}};
  return {{at + 2, 2}, {at + 6, 2}, {at + 10, 18}};
}

}  // namespace bunshin::oracle
