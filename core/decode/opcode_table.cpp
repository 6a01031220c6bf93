#include <algorithm>
#include <charconv>
#include <string>

#include "base/check.h"
#include "core/decode/decoder.h"

namespace bunshin {

namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> tokens;
  while (!text.empty()) {
    const auto end = std::min(text.find(separator), text.size());
    if (end != 0) tokens.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return tokens;
}

[[noreturn]] void malformed(const Row& row) {
  simulator_bug(("malformed encoding of a row: " + std::string(row.encoding)).c_str());
}

/// Two hexadecimal digits, or -1.
int hex_byte(std::string_view token) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), value, 16);
  return token.size() == 2 && error == std::errc() && end == token.data() + 2 ? static_cast<int>(value) : -1;
}

bool is_modrm_operand(Op op) {
  switch (op) {
    case Op::None:
    case Op::Zb:
    case Op::Zv:
    case Op::Al:
    case Op::Ax:
    case Op::Eax:
    case Op::Av:
    case Op::Cl:
    case Op::Dx:
    case Op::One:
    case Op::Es:
    case Op::Cs:
    case Op::Ss:
    case Op::Ds:
    case Op::Fs:
    case Op::Gs:
    case Op::Ib:
    case Op::Ibs:
    case Op::Iw:
    case Op::Iz:
    case Op::Iv:
    case Op::Jb:
    case Op::Jz:
    case Op::Ap:
    case Op::Ob:
    case Op::Ov:
    case Op::Hx:
    case Op::By:
    case Op::Lx:
    case Op::St0: return false;
    default: return true;
  }
}

/// What may stand before the opcode bytes. True if the token was a prefix.
bool take_prefix(std::string_view token, Pattern& p) {
  if (token == "NP")
    p.mandatory = 1;
  else if (token == "66")
    p.mandatory = 0x66;
  else if (token == "F3")
    p.mandatory = 0xf3;
  else if (token == "F2")
    p.mandatory = 0xf2;
  else if (token == "REX.W" || token == "W1")
    p.rex_w = 1;
  else if (token == "W0")
    p.rex_w = 0;
  else
    return false;
  return true;
}

/// One part of "VEX.256.66.0F38.W0".
bool take_vex_part(std::string_view part, Pattern& p) {
  if (part == "128" || part == "LZ" || part == "L0")
    p.vex_l = 0;
  else if (part == "256" || part == "L1")
    p.vex_l = 1;
  else if (part == "0F")
    p.map = Pattern::vex_maps + 1;
  else if (part == "0F38")
    p.map = Pattern::vex_maps + 2;
  else if (part == "0F3A")
    p.map = Pattern::vex_maps + 3;
  else
    return part == "LIG" || part == "WIG" || take_prefix(part, p);
  return true;
}

/// True if the token was a whole VEX prefix.
bool take_vex(std::string_view token, Pattern& p) {
  if (!token.starts_with("VEX.")) return false;
  p.mandatory = 1;
  for (const std::string_view part : split(token.substr(4), '.')) {
    if (!take_vex_part(part, p)) malformed(*p.row);
  }
  if (!p.vex()) malformed(*p.row);
  return true;
}

/// What may stand behind the opcode bytes.
void take_suffix(std::string_view token, Pattern& p) {
  if (token == "/r") {
    p.has_modrm = true;
  } else if (token.size() == 2 && token[0] == '/' && token[1] >= '0' && token[1] <= '7') {
    p.has_modrm = true;
    p.reg_field = static_cast<i8>(token[1] - '0');
  } else if (token == "+r") {
    p.register_in_opcode = true;
  } else if (token == "mem" || token == "reg") {
    p.memory = token == "mem" ? 1 : 0;
  } else if (const int byte = hex_byte(token); byte >= 0 && p.modrm < 0) {
    p.has_modrm = true;
    p.modrm = static_cast<i16>(byte);
  } else {
    malformed(*p.row);
  }
}

}  // namespace

Pattern OpcodeTable::parse(const Row& row) {
  Pattern p;
  p.row = &row;
  auto tokens = split(row.encoding, ' ');
  std::size_t i = 0;
  if (!tokens.empty() && take_vex(tokens[0], p)) ++i;
  while (!p.vex() && i + 1 < tokens.size() && take_prefix(tokens[i], p)) ++i;
  if (!p.vex() && i < tokens.size() && tokens[i] == "0F") {
    p.map = 1;
    ++i;
    if (i + 1 < tokens.size() && (tokens[i] == "38" || tokens[i] == "3A")) p.map = tokens[i++] == "38" ? 2 : 3;
  }
  if (i >= tokens.size()) malformed(row);
  std::string_view opcode = tokens[i++];
  if (opcode.ends_with("+r")) {
    p.register_in_opcode = true;
    opcode.remove_suffix(2);
  }
  const int byte = hex_byte(opcode);
  if (byte < 0) malformed(row);
  p.opcode = static_cast<u8>(byte);
  for (; i < tokens.size(); ++i) take_suffix(tokens[i], p);
  for (const Op op : row.operands) {
    p.has_modrm |= is_modrm_operand(op);
    p.uses_vvvv |= op == Op::Hx || op == Op::By;
  }
  return p;
}

unsigned OpcodeTable::specificity(const Pattern& p) {
  return (p.modrm >= 0 ? 8u : 0u) + (p.reg_field >= 0 ? 4u : 0u) + (p.mandatory != 0 ? 4u : 0u) +
         (p.rex_w >= 0 ? 2u : 0u) + (p.vex_l >= 0 ? 2u : 0u) + (p.memory >= 0 ? 1u : 0u);
}

void OpcodeTable::add(std::span<const Row> rows) {
  for (const Row& row : rows) {
    Pattern p = parse(row);
    p.index = static_cast<u16>(rows_.size());
    rows_.push_back(&row);
    const unsigned last = p.register_in_opcode ? p.opcode + 7u : p.opcode;
    for (unsigned opcode = p.opcode; opcode <= last; ++opcode) by_opcode_[p.map * 256u + opcode].push_back(p);
  }
}

OpcodeTable::OpcodeTable() {
  for (const auto rows : {arithmetic_rows(), shift_rows(), multiply_rows(), move_rows(), bit_rows(),
                          bit_manipulation_rows(), control_flow_rows(), stack_rows(), string_rows(), flag_rows(),
                          system_rows(), event_rows(), x87_rows(), svm_rows(), vmx_rows(), simd_rows()})
    add(rows);
  for (auto& patterns : by_opcode_) {
    std::stable_sort(patterns.begin(), patterns.end(),
                     [](const Pattern& a, const Pattern& b) { return specificity(a) > specificity(b); });
  }
}

}  // namespace bunshin
