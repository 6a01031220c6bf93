// VEX-encoded instructions whose mask tells which elements of memory they touch: masked moves and gathers.

#include "core/sse/bind_vex.h"
#include "core/sse/elements.h"
#include "core/sse/rows.h"

namespace bunshin::sse {

namespace {

/// Elements of a whole vector register.
template <class T, class Length>
using Elements = std::array<T, sizeof(typename Length::Vector) / sizeof(T)>;
template <class T, class Length>
Elements<T, Length> elements(const Cpu& cpu, u8 number) {
  Elements<T, Length> a;
  const auto v = Length::read(cpu, number);
  std::memcpy(a.data(), &v, sizeof(v));
  return a;
}
template <class Length, class T>
void write_elements(Cpu& cpu, u8 number, const Elements<T, Length>& a) {
  typename Length::Vector v;
  std::memcpy(&v, a.data(), sizeof(v));
  write_vector(cpu, number, v);
}
/// A bit for each element whose sign is set.
template <class T, class Length>
u32 selected_by(const Cpu& cpu, u8 mask_register) {
  const auto mask = elements<T, Length>(cpu, mask_register);
  u32 selected = 0;
  for (unsigned i = 0; i < mask.size(); ++i) selected |= static_cast<u32>(mask[i] >> (8 * sizeof(T) - 1)) << i;
  return selected;
}

/// An operand that reaches beyond the address size does not wrap around, as no other does.
u64 element_offset(const Cpu& cpu, const Record& r, u64 distance) { return cpu.effective_address(r) + distance; }

/// Nothing here checks alignment (SDM vol. 2, VMASKMOV, VPGATHERDD): where checks are on, elements go byte by byte.
bool byte_by_byte(const Cpu& cpu) { return (cpu.state.flags.system & rflags::AC) != 0; }
template <class T>
bool load_element(Cpu& cpu, Seg segment, u64 offset, T& out) {
  if (!byte_by_byte(cpu)) [[likely]]
    return cpu.load(segment, offset, out);
  std::array<u8, sizeof(T)> bytes{};
  for (unsigned i = 0; i < sizeof(T); ++i) {
    if (!cpu.load(segment, offset + i, bytes[i])) return false;
  }
  std::memcpy(&out, bytes.data(), sizeof(T));
  return true;
}

/// VMASKMOVPS, VMASKMOVPD, VPMASKMOVD, VPMASKMOVQ. Elements whose mask is clear are not accessed and cannot fault.
template <class T, class Length>
bool run_masked_load(Cpu& cpu, const Record& r) {
  Elements<T, Length> a{};
  for (u32 rest = selected_by<T, Length>(cpu, r.vvvv()); rest != 0; rest &= rest - 1) {
    const auto i = static_cast<unsigned>(std::countr_zero(rest));
    if (!load_element(cpu, cpu.segment_of(r), element_offset(cpu, r, i * sizeof(T)), a[i])) return false;
  }
  write_elements<Length, T>(cpu, r.reg, a);
  return true;
}
template <class T, class Length>
bool run_masked_store(Cpu& cpu, const Record& r) {
  const u32 selected = selected_by<T, Length>(cpu, r.vvvv());
  if (!byte_by_byte(cpu)) [[likely]] {
    const auto a = elements<T, Length>(cpu, r.reg);
    return store_selected<T>(cpu, r, a, selected, [&](unsigned i) { return element_offset(cpu, r, i * sizeof(T)); });
  }
  constexpr u32 element_bytes = (1u << sizeof(T)) - 1;
  u32 selected_bytes = 0;
  for (unsigned i = 0; i < sizeof(typename Length::Vector) / sizeof(T); ++i) {
    if (((selected >> i) & 1) != 0) selected_bytes |= element_bytes << (i * sizeof(T));
  }
  const auto a = elements<u8, Length>(cpu, r.reg);
  return store_selected<u8>(cpu, r, a, selected_bytes, [&](unsigned i) { return element_offset(cpu, r, i); });
}
template <class T>
Handler masked_load(const Decoded& d) {
  return by_length(d, []<class Length>() -> Handler { return run_plain<run_masked_load<T, Length>>; });
}
template <class T>
Handler masked_store(const Decoded& d) {
  return by_length(d, []<class Length>() -> Handler { return run_plain<run_masked_store<T, Length>>; });
}

/// Gathers. An element that is done, or not wanted, clears its mask, so that after a fault the instruction goes on where
/// it was; faults come in the order of the elements (SDM vol. 2, VPGATHERDD). Until it completes, everything else in the
/// registers stays: the manual leaves that open, and processors do so. A load that must be repeated alone in its block
/// starts anew: those before it read plain memory.
template <class Index, class T, class Length>
bool run_gather(Cpu& cpu, const Record& r) {
  // The vector length is that of indices or of data, whichever are wider.
  constexpr unsigned count = sizeof(typename Length::Vector) / std::max(sizeof(Index), sizeof(T));
  const auto indices = elements<Index, Length256>(cpu, r.extra());
  auto data = elements<T, Length256>(cpu, r.reg);
  auto mask = elements<T, Length256>(cpu, r.vvvv());
  bool complete = true;
  for (unsigned i = 0; i < count && complete; ++i) {
    const bool wanted = mask[i] >> (8 * sizeof(T) - 1) != 0;
    complete = !wanted || load_element(cpu, cpu.segment_of(r), vsib_offset(cpu, r, indices[i]), data[i]);
    if (complete) mask[i] = 0;
  }
  if (complete) {
    std::fill(data.begin() + count, data.end(), T{0});
    mask.fill(0);
  } else if (cpu.leave != Leave::Fault) {
    return false;
  }
  write_elements<Length256, T>(cpu, r.reg, data);
  write_elements<Length256, T>(cpu, r.vvvv(), mask);
  return complete;
}
template <class Index, class T>
Handler gather(const Decoded& d) {
  return by_length(d, []<class Length>() -> Handler { return run_plain<run_gather<Index, T, Length>>; });
}

// clang-format off
constexpr Row rows[] = {
    {"VEX.128.66.0F.WIG F7 /r reg", "vmaskmovdqu", {Op::Vx, Op::Ux}, plain<maskmovdqu>, Feature::Avx, attr::avx},
    {"VEX.66.0F38.W0 2C /r mem", "vmaskmovps", {Op::Vx, Op::Hx, Op::M}, masked_load<u32>, Feature::Avx, attr::avx},
    {"VEX.66.0F38.W0 2E /r mem", "vmaskmovps", {Op::M, Op::Hx, Op::Vx}, masked_store<u32>, Feature::Avx, attr::avx},
    {"VEX.66.0F38.W0 2D /r mem", "vmaskmovpd", {Op::Vx, Op::Hx, Op::M}, masked_load<u64>, Feature::Avx, attr::avx},
    {"VEX.66.0F38.W0 2F /r mem", "vmaskmovpd", {Op::M, Op::Hx, Op::Vx}, masked_store<u64>, Feature::Avx, attr::avx},
    {"VEX.66.0F38.W0 8C /r mem", "vpmaskmovd", {Op::Vx, Op::Hx, Op::M}, masked_load<u32>, Feature::Avx2, attr::avx},
    {"VEX.66.0F38.W0 8E /r mem", "vpmaskmovd", {Op::M, Op::Hx, Op::Vx}, masked_store<u32>, Feature::Avx2, attr::avx},
    {"VEX.66.0F38.W1 8C /r mem", "vpmaskmovq", {Op::Vx, Op::Hx, Op::M}, masked_load<u64>, Feature::Avx2, attr::avx},
    {"VEX.66.0F38.W1 8E /r mem", "vpmaskmovq", {Op::M, Op::Hx, Op::Vx}, masked_store<u64>, Feature::Avx2, attr::avx},

    {"VEX.66.0F38.W0 90 /r", "vpgatherdd", {Op::Vx, Op::Mvsib, Op::Hx}, gather<i32, u32>, Feature::Avx2, attr::avx},
    {"VEX.66.0F38.W1 90 /r", "vpgatherdq", {Op::Vx, Op::Mvsib, Op::Hx}, gather<i32, u64>, Feature::Avx2, attr::avx},
    {"VEX.66.0F38.W0 91 /r", "vpgatherqd", {Op::Vx, Op::Mvsib, Op::Hx}, gather<i64, u32>, Feature::Avx2, attr::avx},
    {"VEX.66.0F38.W1 91 /r", "vpgatherqq", {Op::Vx, Op::Mvsib, Op::Hx}, gather<i64, u64>, Feature::Avx2, attr::avx},
    {"VEX.66.0F38.W0 92 /r", "vgatherdps", {Op::Vx, Op::Mvsib, Op::Hx}, gather<i32, u32>, Feature::Avx2, attr::avx},
    {"VEX.66.0F38.W1 92 /r", "vgatherdpd", {Op::Vx, Op::Mvsib, Op::Hx}, gather<i32, u64>, Feature::Avx2, attr::avx},
    {"VEX.66.0F38.W0 93 /r", "vgatherqps", {Op::Vx, Op::Mvsib, Op::Hx}, gather<i64, u32>, Feature::Avx2, attr::avx},
    {"VEX.66.0F38.W1 93 /r", "vgatherqpd", {Op::Vx, Op::Mvsib, Op::Hx}, gather<i64, u64>, Feature::Avx2, attr::avx},
};
// clang-format on

}  // namespace

std::span<const Row> avx_masked_rows() { return rows; }

}  // namespace bunshin::sse
