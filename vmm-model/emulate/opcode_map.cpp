#include "vmm-model/emulate/opcode_map.h"

namespace bunshin::vmm {

namespace {

using enum Operation;
using W = OperandWidth;
using G = OpcodeGroup;

constexpr u16 M = form::modrm, R = form::modrm | form::to_register, B = form::immediate_8, Z = form::immediate,
              V = form::in_opcode, P = form::wide | form::stack, D = form::wide, S = form::implicit_memory;

/// Of opcodes first … last.
struct Range {
  u8 first, last;
  OpcodeRow row;
};

/// Pairs of an opcode for bytes and, next to it, one for words and more.
struct Pair {
  u8 first;
  Operation operation;
  u16 form;
  G group = G::None;
};

constexpr Pair one_byte_pairs[] = {
    {0x80, Unknown, M, G::One},
    {0x84, Test, M},
    {0x86, Exchange, M},
    {0x88, Mov, M},
    {0x8a, Mov, R},
    {0x6c, InString, S},
    {0x6e, OutString, S},
    {0xa4, MoveString, S},
    {0xa6, CompareString, S},
    {0xaa, StoreString, S},
    {0xac, LoadString, S},
    {0xae, ScanString, S},
    {0xc0, Unknown, M, G::Two},
    {0xc6, Unknown, M, G::Eleven},
    {0xd0, Unknown, M, G::Two},
    {0xd2, Unknown, M, G::Two},
    {0xf6, Unknown, M, G::Three},
    {0xa8, Test, 0},
    {0xa0, Mov, S | form::address | form::to_register},
    {0xa2, Mov, S | form::address},
};

constexpr Range one_byte_ranges[] = {
    {0x06, 0x06, {PushSegment, P | form::not_64}},
    {0x0e, 0x0e, {PushSegment, P | form::not_64}},
    {0x16, 0x16, {PushSegment, P | form::not_64}},
    {0x1e, 0x1e, {PushSegment, P | form::not_64}},
    {0x40, 0x47, {Increment, V | form::not_64}},
    {0x48, 0x4f, {Decrement, V | form::not_64}},
    {0x50, 0x57, {Push, V | P}},
    {0x58, 0x5f, {Pop, V | P}},
    {0x60, 0x60, {PushAll, P | form::not_64}},
    {0x61, 0x61, {PopAll, P | form::not_64}},
    {0x62, 0x62, {Bounds, R | form::not_64 | form::memory_only}},
    {0x68, 0x68, {Push, Z | P}},
    {0x69, 0x69, {MultiplyTo, R | Z}},
    {0x6a, 0x6a, {Push, B | P}},
    {0x6b, 0x6b, {MultiplyTo, R | B}},
    {0x70, 0x7f, {JumpIf, B | D}},
    {0x83, 0x83, {Unknown, M | B, W::Full, G::One}},
    {0x8c, 0x8c, {StoreSegment, M}},
    {0x8d, 0x8d, {LoadAddress, R | form::memory_only}},
    {0x8f, 0x8f, {Unknown, M, W::Full, G::OneA}},
    {0x90, 0x97, {Exchange, V}},
    {0x9c, 0x9c, {PushFlags, P}},
    {0x9d, 0x9d, {PopFlags, P}},
    {0xb0, 0xb7, {Mov, V | B, W::Byte}},
    {0xb8, 0xbf, {Mov, V | form::immediate_full}},
    {0xc2, 0xc2, {Return, form::immediate_16 | P}},
    {0xc3, 0xc3, {Return, P}},
    {0xc8, 0xc8, {Enter, form::immediate_16 | B | P}},
    {0xc9, 0xc9, {Leave, P}},
    {0xca, 0xca, {Plain, form::immediate_16}},
    {0xcb, 0xcc, {Plain}},
    {0xcd, 0xcd, {Plain, B}},
    {0xce, 0xcf, {Plain}},
    {0xd7, 0xd7, {Translate, S, W::Byte}},
    {0xd8, 0xdf, {Unknown, M, W::Word, G::X87}},
    {0xe0, 0xe3, {Loop, B | D}},
    {0xe4, 0xe7, {Plain, B}},
    {0xe8, 0xe8, {Call, Z | P}},
    {0xe9, 0xe9, {Jump, Z | D}},
    {0xeb, 0xeb, {Jump, B | D}},
    {0xec, 0xef, {Plain}},
    {0xf1, 0xf1, {Plain}},
    {0xf4, 0xf4, {Plain}},
    {0xfe, 0xfe, {Unknown, M, W::Byte, G::Four}},
    {0xff, 0xff, {Unknown, M, W::Full, G::Five}},
};

constexpr Pair two_byte_pairs[] = {
    {0xb0, CompareExchange, M}, {0xb6, MovZero, R}, {0xbe, MovSign, R}, {0xc0, ExchangeAdd, M}};

constexpr Range two_byte_ranges[] = {
    {0x06, 0x06, {ClearTaskSwitched}},
    {0x08, 0x09, {Plain}},  // INVD, WBINVD
    {0x0d, 0x0d, {Nothing, M | form::memory_only}},
    {0x18, 0x18, {Nothing, M | form::memory_only}},
    {0x19, 0x1f, {Nothing, M}},
    {0x30, 0x33, {Plain}},  // WRMSR, RDTSC, RDMSR, RDPMC
    {0x40, 0x4f, {MoveIf, R}},
    {0x80, 0x8f, {JumpIf, Z | D}},
    {0x90, 0x9f, {SetIf, M, W::Byte}},
    {0xa0, 0xa0, {PushSegment, P}},
    {0xa2, 0xa2, {Plain}},  // CPUID
    {0xa3, 0xa3, {BitTest, M}},
    {0xa4, 0xa4, {ShiftDoubleLeft, M | B}},
    {0xa5, 0xa5, {ShiftDoubleLeft, M}},
    {0xa8, 0xa8, {PushSegment, P}},
    {0xab, 0xab, {BitSet, M}},
    {0xac, 0xac, {ShiftDoubleRight, M | B}},
    {0xad, 0xad, {ShiftDoubleRight, M}},
    {0xaf, 0xaf, {MultiplyTo, R}},
    {0xb3, 0xb3, {BitReset, M}},
    {0xba, 0xba, {Unknown, M | B, W::Full, G::Eight}},
    {0xbb, 0xbb, {BitComplement, M}},
    {0xbc, 0xbc, {ScanForward, R}},
    {0xbd, 0xbd, {ScanBackward, R}},
    {0xc3, 0xc3, {Mov, M | form::memory_only, W::Low}},  // MOVNTI
    {0xc7, 0xc7, {Unknown, M, W::Full, G::Nine}},
};

struct Map {
  OpcodeRow rows[256];

  constexpr void put(const Range& range) {
    for (unsigned i = range.first; i <= range.last; ++i) rows[i] = range.row;
  }
  constexpr void put(const Pair& pair) {
    rows[pair.first] = {pair.operation, pair.form, W::Byte, pair.group};
    rows[pair.first + 1] = {pair.operation, pair.form, W::Full, pair.group};
  }
};

constexpr Operation nth(Operation first, unsigned number) {
  return static_cast<Operation>(static_cast<unsigned>(first) + number);
}

constexpr Map one_byte_map = [] {
  Map map{};
  for (const Pair& pair : one_byte_pairs) map.put(pair);
  for (const Range& range : one_byte_ranges) map.put(range);
  for (unsigned i = 0; i < 8; ++i) {
    const u8 first = static_cast<u8>(i << 3);
    map.put(Pair{first, nth(Add, i), M});
    map.put(Pair{static_cast<u8>(first + 2), nth(Add, i), R});
    map.put(Pair{static_cast<u8>(first + 4), nth(Add, i), 0});
    map.rows[first + 4].form = B;  // to the accumulator
    map.rows[first + 5].form = Z;
  }
  map.rows[0xa8].form = B;
  map.rows[0xa9].form = Z;
  map.rows[0x82] = map.rows[0x80];
  map.rows[0x82].form |= form::not_64;
  for (const u8 opcode : {0x80, 0x82, 0xc0, 0xc1, 0xc6}) map.rows[opcode].form |= B;
  for (const u8 opcode : {0x81, 0xc7}) map.rows[opcode].form |= Z;
  for (const u8 opcode : {0xd0, 0xd1}) map.rows[opcode].form |= form::one;
  return map;
}();

constexpr Map two_byte_map = [] {
  Map map{};
  for (const Pair& pair : two_byte_pairs) map.put(pair);
  for (const Range& range : two_byte_ranges) map.put(range);
  // These extend a byte or a word to all of the register.
  for (const u8 opcode : {0xb6, 0xbe}) map.rows[opcode].width = W::Full;
  return map;
}();

/// TEST has an immediate, whose width the opcode decides.
OpcodeRow group_3(u8 opcode, unsigned reg) {
  constexpr Operation members[] = {Test, Test, Not, Negate, Multiply, MultiplySigned, Divide, DivideSigned};
  const u16 form = reg < 2 ? (opcode & 1) != 0 ? Z : B : u16{0};
  return {members[reg], form};
}

OpcodeRow group_5(unsigned reg, bool memory) {
  switch (reg) {
    case 0: return {Increment};
    case 1: return {Decrement};
    case 2: return {Call, P};
    case 4: return {Jump, D};
    case 6: return {Push, P};
    // Far CALL and JMP, which may switch tasks.
    case 3:
    case 5: return {memory ? Plain : Unknown};
    default: return {};
  }
}

/// FLDCW, FNSTCW and FNSTSW: moves, where all else computes or converts.
OpcodeRow x87(u8 opcode, unsigned reg) {
  if (opcode == 0xd9 && reg == 5) return {LoadState, form::memory_only};
  const bool stores = (opcode == 0xd9 || opcode == 0xdd) && reg == 7;
  return {stores ? StoreState : Unknown, form::memory_only};
}

}  // namespace

const OpcodeRow& one_byte_opcode(u8 opcode) { return one_byte_map.rows[opcode]; }
const OpcodeRow& two_byte_opcode(u8 opcode) { return two_byte_map.rows[opcode]; }

OpcodeRow group_opcode(OpcodeGroup group, u8 opcode, unsigned reg, bool memory) {
  switch (group) {
    case G::One: return {nth(Add, reg)};
    case G::OneA: return {reg == 0 ? Pop : Unknown, P};
    case G::Two: return {nth(RotateLeft, reg)};
    case G::Three: return group_3(opcode, reg);
    case G::Four: return {reg == 0 ? Increment : reg == 1 ? Decrement : Unknown};
    case G::Five: return group_5(reg, memory);
    case G::Eight: return {reg < 4 ? Unknown : nth(BitTest, reg - 4)};
    case G::Nine: return {reg == 1 ? CompareExchangePair : Unknown, form::memory_only};
    case G::Eleven: return {reg == 0 ? Mov : Unknown};
    case G::X87: return x87(opcode, reg);
    default: return {};
  }
}

}  // namespace bunshin::vmm
