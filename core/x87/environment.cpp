#include "core/x87/environment.h"

#include <cstring>

namespace bunshin::x87 {

namespace {

/// The seven fields, in the order of the figures, wherever their width puts them.
struct Fields {
  u32 control, status, tags, ip, ip_high, operand, operand_high;
};

Fields protected_fields(const X87State& s, bool wide) {
  const u32 opcode = wide ? u32{s.opcode} << 16 : 0;
  return {s.control,
          status_word(s),
          full_tag_word(s),
          static_cast<u32>(s.ip),
          s.ip_selector | opcode,
          static_cast<u32>(s.operand),
          s.operand_selector};
}

/// Real-address and virtual-8086 mode: linear addresses, their upper bits from bit 12 on.
Fields real_fields(const X87State& s) {
  const u32 ip = (u32{s.ip_selector} << 4) + static_cast<u32>(s.ip);
  const u32 operand = (u32{s.operand_selector} << 4) + static_cast<u32>(s.operand);
  return {s.control,        status_word(s),       full_tag_word(s), ip & 0xffff, (ip >> 16) << 12 | s.opcode,
          operand & 0xffff, (operand >> 16) << 12};
}

}  // namespace

EnvironmentImage store_environment(const X87State& s, const EnvironmentFormat& format) {
  const Fields f = format.protected_mode ? protected_fields(s, format.wide) : real_fields(s);
  const std::array<u32, 7> values{f.control, f.status, f.tags, f.ip, f.ip_high, f.operand, f.operand_high};
  EnvironmentImage image{};
  for (unsigned i = 0; i < values.size(); ++i) {
    if (format.wide) {
      // The reserved upper halves are stored as ones; the pointers' words have none (real format: only 15:0 of them).
      const bool upper_reserved = i < 3 || (format.protected_mode ? i == 6 : i == 3 || i == 5);
      const u32 v = upper_reserved ? values[i] | 0xffff0000u : values[i];
      std::memcpy(image.data() + 4 * i, &v, 4);
    } else {
      const u16 v = static_cast<u16>(values[i]);
      std::memcpy(image.data() + 2 * i, &v, 2);
    }
  }
  return image;
}

void load_environment(X87State& s, const EnvironmentImage& image, const EnvironmentFormat& format) {
  std::array<u32, 7> v{};
  for (unsigned i = 0; i < v.size(); ++i) {
    const unsigned bytes = format.wide ? 4 : 2;
    std::memcpy(&v[i], image.data() + bytes * i, bytes);
  }
  set_control_word(s, static_cast<u16>(v[0]));
  set_status_word(s, static_cast<u16>(v[1]));
  set_full_tag_word(s, static_cast<u16>(v[2]));
  if (format.protected_mode) {
    s.ip = v[3];
    s.ip_selector = static_cast<u16>(v[4]);
    s.opcode = format.wide ? (v[4] >> 16) & 0x7ff : 0;
    s.operand = v[5];
    s.operand_selector = static_cast<u16>(v[6]);
  } else {
    s.ip = (v[3] & 0xffff) | ((v[4] >> 12) & 0xffff) << 16;
    s.opcode = v[4] & 0x7ff;
    s.operand = (v[5] & 0xffff) | ((v[6] >> 12) & 0xffff) << 16;
    s.ip_selector = s.operand_selector = 0;
  }
}

RegisterImage store_registers(const X87State& s) {
  RegisterImage image{};
  for (unsigned i = 0; i < 8; ++i) {
    std::memcpy(image.data() + 10 * i, &st(s, i).mantissa, 8);
    std::memcpy(image.data() + 10 * i + 8, &st(s, i).sign_exponent, 2);
  }
  return image;
}

void load_registers(X87State& s, const RegisterImage& image) {
  for (unsigned i = 0; i < 8; ++i) {
    std::memcpy(&st(s, i).mantissa, image.data() + 10 * i, 8);
    std::memcpy(&st(s, i).sign_exponent, image.data() + 10 * i + 8, 2);
  }
}

}  // namespace bunshin::x87
