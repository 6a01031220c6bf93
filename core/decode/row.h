#pragma once

// One row of the opcode table: everything the processor knows about an instruction, in the notation of the SDM.
//
//   {"66 0F 38 00 /r", "pshufb", {Op::Vx, Op::Wx}, xmm_op<pshufb>, Feature::Ssse3, fp_sse},
//
// Encoding: optional mandatory prefix (NP, 66, F3, F2; none means any), optional REX.W / W0, opcode bytes in hexadecimal,
// then one of
//   /r        ModRM with any reg field        /0 … /7   ModRM with that reg field
//   +r        register in the low three opcode bits
//   a further hexadecimal byte after "0F 01", "0F AE", "D9" … : the whole ModRM byte
// and optionally "mem" or "reg": ModRM.mod must (not) address memory. The most specific row wins; two rows of equal
// specificity that overlap fail the table's own test.
//
// VEX encodings begin with one token in the SDM's spelling (vol. 2, 3.1.1.2), then the opcode byte and the rest as above:
//
//   {"VEX.66.0F.WIG FE /r", "vpaddd", {Op::Vx, Op::Hx, Op::Wx}, vex<paddd>, Feature::Avx, attr::avx | attr::avx2_256},
//   {"VEX.LZ.F2.0F38 F7 /r", "shrx", {Op::Gy, Op::Ey, Op::By}, …, Feature::Bmi2},
//
//   length     128, LZ, L0 (VEX.L = 0), 256, L1 (VEX.L = 1), LIG (ignored); left out: both lengths, the binder looks
//              at Decoded::vector_bytes
//   prefix     NP or left out (pp = 0), 66, F3, F2
//   map        0F, 0F38, 0F3A
//   W          W0, W1, WIG or left out (ignored, or operand size). Rows of general registers leave it out: only 64-bit
//              mode looks at W there, and the decoder makes the size of the y operands of it
//
// Operands Hx and By are VEX.vvvv, Lx is the register in imm8[7:4] (/is4), Mvsib has a vector index. A row without an H
// or B operand requires vvvv = 1111b, one with Mvsib requires a SIB byte: anything else is #UD.

#include <span>
#include <string_view>

#include "core/profile.h"
#include "core/record.h"

namespace bunshin {

/// Operands, in the letters of the opcode map (SDM vol. 2, A.2). They tell the decoder what to read and the disassembly
/// checks what to expect. v: operand size; z: 16/32; y: 32/64; x: 128.
enum class Op : u8 {
  None,
  Eb,
  Ew,
  Ed,
  Eq,
  Ev,
  Ey,  // ModRM.rm: general register or memory
  Rv,
  Ry,  // ModRM.rm: general register only (mod ignored)
  Gb,
  Gw,
  Gd,
  Gv,
  Gy,  // ModRM.reg
  Zb,
  Zv,  // low three opcode bits
  Al,
  Ax,
  Eax,
  Av,
  Cl,
  Dx,
  One,  // fixed; Av is rAX
  Es,
  Cs,
  Ss,
  Ds,
  Fs,
  Gs,  // fixed segment register
  Sw,
  Cd,
  Dd,  // ModRM.reg: segment, control, debug register
  Ib,
  Ibs,
  Iw,
  Iz,
  Iv,  // immediates: 8 zero-extended, 8 sign-extended, 16, 16/32 sign-extended, up to 64
  Jb,
  Jz,
  Ap,  // relative and far pointers
  Ob,
  Ov,  // moffs
  M,
  Mb,
  Mw,
  Md,
  Mq,
  Mdq,
  Mt,
  Mp,
  Ms,     // memory only; t: 80 bits, p: far pointer, s: pseudo-descriptor
  Mvsib,  // memory only, addressed by a vector index (SDM vol. 2, 2.3.12)
  Vx,
  Ux,
  Wx,
  Wd,
  Wq,
  Ww,   // XMM, or YMM with VEX.256: reg; rm register only; rm with 16 (32)/4/8/2-byte memory
  Wdq,  // XMM or 16-byte memory, VEX.256 or not
  Hx,   // VEX.vvvv: XMM or YMM
  Lx,   // imm8[7:4]: XMM or YMM; the immediate's other bits stay readable
  By,   // VEX.vvvv: general register
  Pq,
  Nq,
  Qq,
  Qd,  // MMX: reg; rm register only; rm with 8/4-byte memory
  St0,
  Sti,  // x87
};

/// What the decoder has found out when it binds a handler.
struct Decoded {
  Record record;
  const struct Row* row = nullptr;
  unsigned operand_bytes = 4;  ///< effective operand size, 2, 4 or 8 (1 if the row's operands are bytes)
  unsigned code_bits = 32;     ///< 16, 32, 64
  unsigned vector_bytes = 16;  ///< 32 with VEX.L
  u8 opcode = 0;               ///< last opcode byte
  bool memory = false;
  bool flat = false;      ///< the memory operand's linear address is its effective address
  bool observed = false;  ///< CodeMode::observed
  bool linkable = false;  ///< a relative jump whose target and successor lie in the instruction's own page
};

/// Chooses the handler specialised for the operands.
using Binder = Handler (*)(const Decoded&);

/// Attributes of a row.
namespace attr {
inline constexpr u32 ends_block = 1u << 0;  ///< control transfer, or changes what decoding depends on
inline constexpr u32 invalid64 = 1u << 1;   ///< #UD in 64-bit mode
inline constexpr u32 only64 = 1u << 2;      ///< #UD outside 64-bit mode
inline constexpr u32 default64 = 1u << 3;   ///< operand size defaults to 64 in 64-bit mode (PUSH, POP, near branches)
inline constexpr u32 force64 = 1u << 4;     ///< … and 66 is ignored
inline constexpr u32 lockable = 1u << 5;    ///< LOCK allowed with a memory destination
inline constexpr u32 x87 = 1u << 6;         ///< #NM if CR0.EM or TS
inline constexpr u32 mmx = 1u << 7;         ///< #UD if EM, #NM if TS
inline constexpr u32 sse = 1u << 8;         ///< #UD if EM or not OSFXSR, #NM if TS
inline constexpr u32 protected_only = 1u << 9;  ///< #UD in real and virtual-8086 mode
inline constexpr u32 privileged = 1u << 10;     ///< #GP(0) if CPL > 0
inline constexpr u32 alone = 1u << 11;          ///< must run alone in its block (reads time, touches devices)
inline constexpr u32 byte_operands = 1u << 12;
/// #UD without CR4.OSXSAVE or XCR0[2:1] = 11b, #NM if CR0.TS; needs Feature::Avx besides the row's own feature.
inline constexpr u32 avx = 1u << 13;
inline constexpr u32 conditional_jump = 1u << 14;  ///< Jcc with an 8-, 16- or 32-bit displacement
inline constexpr u32 avx2_256 = 1u << 15;          ///< with VEX.L the row needs Feature::Avx2
}  // namespace attr

struct Row {
  std::string_view encoding;
  std::string_view mnemonic;
  Op operands[4] = {Op::None, Op::None, Op::None, Op::None};
  Binder bind = nullptr;
  Feature feature = Feature::Base;
  u32 attributes = 0;
};

/// The chapters of the table, each in its own file rows_*.cpp beside the semantics it binds.
std::span<const Row> arithmetic_rows();  // core/execute
std::span<const Row> shift_rows();
std::span<const Row> multiply_rows();
std::span<const Row> move_rows();
std::span<const Row> bit_rows();
std::span<const Row> bit_manipulation_rows();
std::span<const Row> control_flow_rows();
std::span<const Row> stack_rows();
std::span<const Row> string_rows();
std::span<const Row> flag_rows();
std::span<const Row> system_rows();  // core/system
std::span<const Row> vmx_rows();     // core/virt/vmx
std::span<const Row> event_rows();   // core/events
std::span<const Row> x87_rows();     // core/x87
std::span<const Row> svm_rows();     // core/virt/svm
std::span<const Row> simd_rows();    // core/sse: MMX, SSE … SSE4.2, AES, PCLMULQDQ, SHA, AVX

}  // namespace bunshin
