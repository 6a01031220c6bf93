// Instructions that a prefix makes what they are (SDM vol. 2, tables ): vectors that move, and integers of late.

#include <array>
#include <iterator>

#include "vmm-model/emulate/opcode_map.h"

namespace bunshin::vmm {

namespace {

using enum Operation;
using Row = PrefixedRow;

constexpr u8 np = mandatory::none, p66 = mandatory::size, f3 = mandatory::repeat, f2 = mandatory::repeat_not,
             any = Row::any, low = Row::low, gpr = Row::operand;

// In the order of map and opcode.
constexpr Row rows[] = {
    {1, 0x10, np | p66, VectorLoad},
    {1, 0x10, f3, VectorLoad, 4},
    {1, 0x10, f2, VectorLoad, 8},
    {1, 0x11, np | p66, VectorStore},
    {1, 0x11, f3, VectorStore, 4},
    {1, 0x11, f2, VectorStore, 8},
    {1, 0x12, np | p66, VectorLoadLow, 8},
    {1, 0x12, f3 | f2, VectorDuplicate},
    {1, 0x13, np | p66, VectorStore, 8},
    {1, 0x16, np | p66, VectorLoadHigh, 8},
    {1, 0x16, f3, VectorDuplicate},
    {1, 0x17, np | p66, VectorStoreHigh, 8},
    {1, 0x28, np | p66, VectorLoad},
    {1, 0x29, np | p66, VectorStore},
    {1, 0x2b, np | p66, VectorStore},
    {1, 0x54, np | p66, VectorAnd},
    {1, 0x55, np | p66, VectorAndNot},
    {1, 0x56, np | p66, VectorOr},
    {1, 0x57, np | p66, VectorXor},
    {1, 0x6e, np, VectorLoad, low, Row::Mmx},
    {1, 0x6e, p66, VectorLoad, low},
    {1, 0x6f, np, VectorLoad, 0, Row::Mmx},
    {1, 0x6f, p66 | f3, VectorLoad},
    {1, 0x7e, np, VectorStore, low, Row::Mmx},
    {1, 0x7e, p66, VectorStore, low},
    {1, 0x7e, f3, VectorLoad, 8},
    {1, 0x7f, np, VectorStore, 0, Row::Mmx},
    {1, 0x7f, p66 | f3, VectorStore},
    {1, 0xae, np, LoadState, 4, Row::Both, 2},
    {1, 0xae, np, StoreState, 4, Row::Both, 3},
    {1, 0xae, np | p66, FlushLine, 1, Row::Legacy, 7},  // CLFLUSH, CLFLUSHOPT
    {1, 0xae, p66, FlushLine, 1, Row::Legacy, 6},       // CLWB
    {1, 0xb8, f3, CountOnes, gpr, Row::Legacy},
    {1, 0xbc, f3, CountTrailing, gpr, Row::Legacy},
    {1, 0xbd, f3, CountLeading, gpr, Row::Legacy},
    {1, 0xc4, np, VectorInsert, 2, Row::Mmx, any, true},
    {1, 0xc4, p66, VectorInsert, 2, Row::Both, any, true},
    {1, 0xd6, p66, VectorStore, 8},
    {1, 0xdb, np, VectorAnd, 0, Row::Mmx},
    {1, 0xdb, p66, VectorAnd},
    {1, 0xdf, np, VectorAndNot, 0, Row::Mmx},
    {1, 0xdf, p66, VectorAndNot},
    {1, 0xe7, np, VectorStore, 0, Row::Mmx},
    {1, 0xe7, p66, VectorStore},
    {1, 0xeb, np, VectorOr, 0, Row::Mmx},
    {1, 0xeb, p66, VectorOr},
    {1, 0xef, np, VectorXor, 0, Row::Mmx},
    {1, 0xef, p66, VectorXor},
    {1, 0xf0, f2, VectorLoad},  // LDDQU
    {1, 0xf7, np, VectorMaskedBytes, 0, Row::Mmx},
    {1, 0xf7, p66, VectorMaskedBytes},

    {2, 0x18, p66, VectorBroadcast, 4, Row::Vex},
    {2, 0x19, p66, VectorBroadcast, 8, Row::Vex},
    {2, 0x1a, p66, VectorBroadcast, 16, Row::Vex},
    {2, 0x20, p66, VectorExtendSign, Row::half},
    {2, 0x21, p66, VectorExtendSign, Row::quarter},
    {2, 0x22, p66, VectorExtendSign, Row::eighth},
    {2, 0x23, p66, VectorExtendSign, Row::half},
    {2, 0x24, p66, VectorExtendSign, Row::quarter},
    {2, 0x25, p66, VectorExtendSign, Row::half},
    {2, 0x2a, p66, VectorLoad},  // MOVNTDQA
    {2, 0x2c, p66, VectorMaskedLoad, 0, Row::Vex},
    {2, 0x2d, p66, VectorMaskedLoad, 0, Row::Vex},
    {2, 0x2e, p66, VectorMaskedStore, 0, Row::Vex},
    {2, 0x2f, p66, VectorMaskedStore, 0, Row::Vex},
    {2, 0x30, p66, VectorExtendZero, Row::half},
    {2, 0x31, p66, VectorExtendZero, Row::quarter},
    {2, 0x32, p66, VectorExtendZero, Row::eighth},
    {2, 0x33, p66, VectorExtendZero, Row::half},
    {2, 0x34, p66, VectorExtendZero, Row::quarter},
    {2, 0x35, p66, VectorExtendZero, Row::half},
    {2, 0x58, p66, VectorBroadcast, 4, Row::Vex},
    {2, 0x59, p66, VectorBroadcast, 8, Row::Vex},
    {2, 0x5a, p66, VectorBroadcast, 16, Row::Vex},
    {2, 0x78, p66, VectorBroadcast, 1, Row::Vex},
    {2, 0x79, p66, VectorBroadcast, 2, Row::Vex},
    {2, 0x8c, p66, VectorMaskedLoad, 0, Row::Vex},
    {2, 0x8e, p66, VectorMaskedStore, 0, Row::Vex},
    {2, 0xf0, mandatory::any_size, MovSwapped, gpr, Row::Legacy},
    {2, 0xf0, f2, Checksum, gpr, Row::Legacy},
    {2, 0xf1, mandatory::any_size, MovSwapped, gpr, Row::Legacy},
    {2, 0xf1, f2, Checksum, gpr, Row::Legacy},
    {2, 0xf2, np, AndNot, gpr, Row::Vex},
    {2, 0xf3, np, ResetLowest, gpr, Row::Vex, 1},
    {2, 0xf3, np, MaskLowest, gpr, Row::Vex, 2},
    {2, 0xf3, np, IsolateLowest, gpr, Row::Vex, 3},
    {2, 0xf5, np, ZeroHigh, gpr, Row::Vex},
    {2, 0xf5, f3, ExtractBits, gpr, Row::Vex},
    {2, 0xf5, f2, DepositBits, gpr, Row::Vex},
    {2, 0xf6, p66, AddCarry, gpr, Row::Legacy},
    {2, 0xf6, f3, AddOverflow, gpr, Row::Legacy},
    {2, 0xf6, f2, MultiplyPlain, gpr, Row::Vex},
    {2, 0xf7, np, ExtractField, gpr, Row::Vex},
    {2, 0xf7, p66 | f3 | f2, ShiftPlain, gpr, Row::Vex},

    {3, 0x14, p66, VectorExtract, 1, Row::Both, any, true},
    {3, 0x15, p66, VectorExtract, 2, Row::Both, any, true},
    {3, 0x16, p66, VectorExtract, low, Row::Both, any, true},
    {3, 0x17, p66, VectorExtract, 4, Row::Both, any, true},
    {3, 0x18, p66, VectorInsertHalf, 16, Row::Vex, any, true},
    {3, 0x19, p66, VectorExtractHalf, 16, Row::Vex, any, true},
    {3, 0x20, p66, VectorInsert, 1, Row::Both, any, true},
    {3, 0x21, p66, VectorInsertSingle, 4, Row::Both, any, true},
    {3, 0x22, p66, VectorInsert, low, Row::Both, any, true},
    {3, 0x38, p66, VectorInsertHalf, 16, Row::Vex, any, true},
    {3, 0x39, p66, VectorExtractHalf, 16, Row::Vex, any, true},
    {3, 0xf0, f2, ShiftPlain, gpr, Row::Vex, any, true},
};

constexpr unsigned maps = 3;
static_assert(std::size(rows) < 256);

/// Of each opcode; one without any has what is behind all.
constexpr auto first_row = [] {
  std::array<std::array<u8, 256>, maps> first{};
  for (auto& map : first) map.fill(std::size(rows));
  for (unsigned i = std::size(rows); i-- > 0;) first[rows[i].map - 1][rows[i].opcode] = static_cast<u8>(i);
  return first;
}();

}  // namespace

const PrefixedRow* prefixed_opcode(u8 map, u8 opcode, u8 prefix, bool vex, unsigned reg) {
  const u8 encoding = vex ? Row::Vex : Row::Legacy;
  if (map < 1 || map > maps) return nullptr;
  for (unsigned i = first_row[map - 1][opcode]; i < std::size(rows); ++i) {
    const Row& row = rows[i];
    if (row.opcode != opcode || row.map != map) return nullptr;
    if ((row.prefixes & prefix) == 0 || (row.encoding & encoding) == 0) continue;
    if (row.reg == any || row.reg == reg) return &row;
  }
  return nullptr;
}

}  // namespace bunshin::vmm
