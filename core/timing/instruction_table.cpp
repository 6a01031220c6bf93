#include "core/timing/instruction_table.h"

#include <algorithm>
#include <array>

#include "core/state.h"

namespace bunshin {

namespace {

constexpr u16 rax = 1 << RAX, rcx = 1 << RCX, rdx = 1 << RDX, rbx = 1 << RBX, rsp = 1 << RSP, rbp = 1 << RBP,
              rsi = 1 << RSI, rdi = 1 << RDI, r11 = 1 << R11;

/// Flags of a table line.
enum Mark : unsigned {
  none = 0,
  W = 1,      ///< the first operand is written only
  R = 2,      ///< … read only
  fr = 4,     ///< reads flags
  fw = 8,     ///< writes flags
  both = 16,  ///< the second operand is written too
  ser = 32,   ///< serializing (SDM vol. 3, 8.3)
  open = 64,  ///< an open-ended number of references
};

struct Line {
  std::string_view name;
  OpClass op;
  unsigned marks = none;
  u16 reads = 0;
  u16 writes = 0;
  u8 loads = 0;
  u8 stores = 0;
  BranchKind branch = BranchKind::None;
};

using enum OpClass;

// INC, DEC, ROL and ROR keep some flags, but renaming them apart spares the wait. Sorted by name. A name that ends in * stands for all that begin so; the longest match counts.
// clang-format off
constexpr Line lines[] = {
    {"aa*", Integer, R | fr | fw, rax, rax}, {"adc", Integer, fr | fw}, {"adcx", Integer, fr | fw},
    {"add", Integer, fw}, {"adox", Integer, fr | fw}, {"and", Integer, fw}, {"andn", Integer, W | fw},
    {"arpl", Microcode, fw},
    {"bextr", Integer, W | fw}, {"bls*", Integer, W | fw}, {"bound", Microcode, R},
    {"bsf", Multiply, fw}, {"bsr", Multiply, fw}, {"bswap", Integer}, {"bt", Integer, R | fw}, {"btc", Integer, fw},
    {"btr", Integer, fw}, {"bts", Integer, fw}, {"bzhi", Integer, W | fw},
    {"call", Branch, R, rsp, rsp, 0, 1, BranchKind::Call}, {"cbw", Integer, none, rax, rax},
    {"cdqe", Integer, none, rax, rax}, {"clac", Microcode, ser}, {"clc", Integer, fw}, {"cld", Integer, fw},
    {"clflush*", Microcode, R | open}, {"cli", Microcode, fw}, {"clts", Microcode, ser}, {"clwb", Microcode, R | open},
    {"clgi", Microcode}, {"cmc", Integer, fr | fw}, {"cmov*", Integer, fr}, {"cmp", Integer, R | fw},
    {"cmps", Microcode, open | fw, rsi | rdi | rcx, rsi | rdi | rcx},
    {"cmpsb", Microcode, open | fw, rsi | rdi | rcx, rsi | rdi | rcx},
    {"cmpxchg", Microcode, fw, rax, rax},
    {"cmpxchg16b", Microcode, fw, rax | rbx | rcx | rdx, rax | rdx},
    {"cmpxchg8b", Microcode, fw, rax | rbx | rcx | rdx, rax | rdx},
    {"cpuid", Microcode, ser, rax | rcx, rax | rbx | rcx | rdx}, {"cqo", Integer, none, rax, rdx},
    {"crc32", Crypto}, {"daa", Integer, fr | fw, rax, rax}, {"das", Integer, fr | fw, rax, rax}, {"dec", Integer, fw},
    {"div", Divide, R | fw, rax | rdx, rax | rdx}, {"enter", Microcode, open, rsp | rbp, rsp | rbp},
    {"fwait", X87Move}, {"hlt", Microcode, ser}, {"idiv", Divide, R | fw, rax | rdx, rax | rdx}, {"imul", Multiply, fw},
    {"in", Microcode, ser | W, rdx}, {"inc", Integer, fw}, {"ins*", Microcode, ser | open, rdx | rdi | rcx, rdi | rcx},
    {"int*", Microcode, ser | open, rsp, rsp}, {"inv*", Microcode, ser | R | open}, {"iret", Microcode, ser | open | fw, rsp, rsp},
    {"j*", Branch, R | fr, 0, 0, 0, 0, BranchKind::Conditional},
    {"jmp", Branch, R, 0, 0, 0, 0, BranchKind::Direct},
    {"jrcxz", Branch, R, rcx, 0, 0, 0, BranchKind::Conditional},
    {"lahf", Integer, fr, 0, rax}, {"lar", Microcode, W | fw | open}, {"lcall", Microcode, ser | open | R, rsp, rsp},
    {"lds", Microcode, W | open}, {"lea", Lea, W}, {"leave", Integer, none, rbp, rsp | rbp, 1, 0},
    {"les", Microcode, W | open}, {"lfence", Microcode, ser}, {"lfs", Microcode, W | open},
    {"lgdt", Microcode, ser | R | open}, {"lgs", Microcode, W | open}, {"lidt", Microcode, ser | R | open},
    {"ljmp", Microcode, ser | open | R}, {"lldt", Microcode, ser | R | open}, {"lmsw", Microcode, ser | R},
    {"lods", Microcode, open, rsi | rcx, rax | rsi | rcx}, {"lodsb", Microcode, open, rsi | rcx | rax, rax | rsi | rcx},
    {"loop*", Branch, R | fr, rcx, rcx, 0, 0, BranchKind::Conditional}, {"lsl", Microcode, W | fw | open},
    {"lss", Microcode, W | open}, {"ltr", Microcode, ser | R | open}, {"lzcnt", Multiply, W | fw},
    {"mfence", Microcode, ser}, {"monitor", Microcode, ser, rax | rcx | rdx}, {"mov", Integer, W}, {"movbe", Integer, W},
    {"movnti", Integer, W}, {"movs", Microcode, open, rsi | rdi | rcx, rsi | rdi | rcx},
    {"movsb", Microcode, open, rsi | rdi | rcx, rsi | rdi | rcx}, {"movsx*", Integer, W}, {"movzx", Integer, W},
    {"mul", Multiply, R | fw, rax, rax | rdx}, {"mulx", Multiply, W | both, rdx}, {"mwait", Microcode, ser, rax | rcx},
    {"neg", Integer, fw}, {"nop", Nop, R}, {"not", Integer}, {"or", Integer, fw}, {"out", Microcode, ser | R, rax | rdx},
    {"outs*", Microcode, ser | open, rdx | rsi | rcx, rsi | rcx}, {"pause", Microcode}, {"pdep", Multiply, W},
    {"pext", Multiply, W}, {"pop", Integer, W, rsp, rsp, 1, 0},
    {"popa", Microcode, open, rsp, static_cast<u16>(0xff)}, {"popcnt", Multiply, W | fw},
    {"popf", Microcode, fw, rsp, rsp, 1, 0}, {"prefetch*", Nop, R}, {"push", Integer, R, rsp, rsp, 0, 1},
    {"pusha", Microcode, open, 0xff, rsp}, {"pushf", Microcode, fr, rsp, rsp, 0, 1},
    {"rc*", Shift, fr | fw}, {"rd*", Microcode, W, rcx, rax | rdx}, {"rdfsbase", Microcode, W}, {"rdgsbase", Microcode, W},
    {"rdpid", Microcode, W}, {"rdrand", Microcode, W | fw}, {"rdseed", Microcode, W | fw},
    {"ret", Branch, R, rsp, rsp, 1, 0, BranchKind::Return}, {"retf", Microcode, ser | open | R, rsp, rsp},
    {"rol", Shift, fw}, {"ror", Shift, fw}, {"rorx", Shift, W}, {"sahf", Integer, fr | fw, rax}, {"salc", Integer, fr, 0, rax}, {"sar", Shift, fw},
    {"sarx", Shift, W}, {"sbb", Integer, fr | fw}, {"scas", Microcode, open | fw, rax | rdi | rcx, rdi | rcx},
    {"scasb", Microcode, open | fw, rax | rdi | rcx, rdi | rcx}, {"set*", Integer, W | fr}, {"sfence", Microcode},
    {"sgdt", Microcode, W}, {"shl", Shift, fw}, {"shld", Shift, fw}, {"shlx", Shift, W}, {"shr", Shift, fw},
    {"shrd", Shift, fw}, {"shrx", Shift, W}, {"sidt", Microcode, W}, {"sldt", Microcode, W}, {"skinit", Microcode, ser, rax}, {"smsw", Microcode, W},
    {"stac", Microcode, ser}, {"stc", Integer, fw}, {"std", Integer, fw}, {"stgi", Microcode}, {"sti", Microcode, fw},
    {"stos", Microcode, open, rax | rdi | rcx, rdi | rcx}, {"stosb", Microcode, open, rax | rdi | rcx, rdi | rcx},
    {"str", Microcode, W}, {"sub", Integer, fw}, {"swapgs", Microcode, ser},
    {"syscall", Microcode, ser, 0, rcx | r11}, {"sysenter", Microcode, ser, 0, rsp}, {"sysexit", Microcode, ser, rcx | rdx, rsp},
    {"sysret", Microcode, ser, rcx | r11}, {"test", Integer, R | fw}, {"tzcnt", Multiply, W | fw}, {"ud*", Microcode, R},
    {"verr", Microcode, R | fw | open}, {"verw", Microcode, R | fw | open}, {"vm*", Microcode, R | fw},
    {"vmfunc", Microcode, R | fw, rax | rcx}, {"vmload", Microcode, R, rax}, {"vmread", Microcode, W | fw}, {"vmrun", Microcode, R, rax},
    {"vmsave", Microcode, R, rax}, {"wbinvd", Microcode, ser},
    {"wr*", Microcode, ser | R, rax | rcx | rdx}, {"wrfsbase", Microcode, R}, {"wrgsbase", Microcode, R},
    {"xadd", Integer, fw | both}, {"xchg", Integer, both}, {"xgetbv", Microcode, none, rcx, rax | rdx},
    {"xlatb", Load, none, rax | rbx, rax, 1, 0}, {"xor", Integer, fw}, {"xrstor", Microcode, R | open, rax | rdx},
    {"xsave*", Microcode, R | open, rax | rdx}, {"xsetbv", Microcode, ser, rax | rcx | rdx},
};

/// Vector and x87 instructions, VEX's v removed.
constexpr Line float_lines[] = {
    {"add*", FloatAdd}, {"aes*", Crypto}, {"aesimc", Crypto, W}, {"aeskeygenassist", Crypto, W}, {"and*", VectorInteger},
    {"blend*", VectorShuffle}, {"broadcast*", VectorShuffle, W}, {"cmp*", FloatAdd}, {"comis*", FloatAdd, R | fw},
    {"cvt*", FloatConvert, W}, {"cvtpi2ps", FloatConvert}, {"div*", FloatDivide}, {"dpp*", FloatMultiply}, {"emms", Microcode}, {"extract*", VectorShuffle, W},
    {"f*", X87Move}, {"fbld", X87Microcode, R}, {"fbstp", X87Microcode, W}, {"fadd*", X87Add}, {"fcom*", X87Add, R}, {"fcomi*", X87Add, R | fw}, {"fcos", X87Microcode},
    {"fdiv*", X87Divide}, {"f2xm1", X87Microcode}, {"fiadd", X87Add}, {"ficom*", X87Add, R}, {"fidiv*", X87Divide},
    {"fild", X87Move, R}, {"fimul", X87Multiply}, {"fist*", X87Move, W}, {"fisub*", X87Add}, {"fld*", X87Move, R},
    {"fldenv", X87Microcode, R | open}, {"fmadd*", FloatFma}, {"fmsub*", FloatFma}, {"fmul*", X87Multiply},
    {"fnmadd*", FloatFma}, {"fnmsub*", FloatFma}, {"fnsave", X87Microcode, W | open}, {"fnstcw", X87Move, W},
    {"fnstenv", X87Microcode, W | open}, {"fnstsw", X87Move, W}, {"fp*", X87Microcode}, {"frndint", X87Microcode},
    {"frstor", X87Microcode, R | open}, {"fs*", X87Microcode}, {"fsqrt", X87Divide}, {"fst*", X87Move, W}, {"fsub*", X87Add},
    {"fucom*", X87Add, R}, {"fucomi*", X87Add, R | fw}, {"fxch", X87Move}, {"fxrstor", Microcode, R | open},
    {"fxsave", Microcode, W | open}, {"fy*", X87Microcode}, {"gather*", Microcode, open}, {"gf2*", Crypto},
    {"hadd*", FloatAdd}, {"hsub*", FloatAdd}, {"insert*", VectorShuffle}, {"lddqu", VectorMove, W}, {"ldmxcsr", Microcode, R},
    {"maskmov*", VectorMove, R | open, rdi}, {"maskmovp*", VectorMove, W | open}, {"max*", FloatAdd}, {"min*", FloatAdd}, {"mov*", VectorMove, W}, {"movd", CrossDomain, W},
    {"movhl*", VectorShuffle}, {"movhp*", VectorShuffle}, {"movlh*", VectorShuffle}, {"movlp*", VectorShuffle},
    {"movmsk*", CrossDomain, W}, {"mpsadbw", VectorMultiply}, {"mul*", FloatMultiply}, {"or*", VectorInteger}, {"p*", VectorInteger},
    {"pabs*", VectorInteger, W}, {"pack*", VectorShuffle}, {"palignr", VectorShuffle}, {"pblend*", VectorShuffle},
    {"pbroadcast*", VectorShuffle, W}, {"pclmul*", Crypto}, {"pcmpestr*", Microcode, R | fw, rax | rdx, rcx},
    {"pcmpistr*", Microcode, R | fw, 0, rcx}, {"perm*", VectorShuffle, W}, {"pextr*", CrossDomain, W}, {"pgather*", Microcode, open},
    {"phminposuw", VectorMultiply, W}, {"pinsr*", VectorShuffle}, {"pmadd*", VectorMultiply}, {"pmaskmov*", VectorMove, W | open},
    {"pmovmskb", CrossDomain, W}, {"pmovsx*", VectorShuffle, W}, {"pmovzx*", VectorShuffle, W}, {"pmul*", VectorMultiply},
    {"psadbw", VectorMultiply}, {"pshuf*", VectorShuffle, W}, {"pshufb", VectorShuffle}, {"ptest", CrossDomain, R | fw},
    {"punpck*", VectorShuffle}, {"rcp*", FloatMultiply, W}, {"round*", FloatAdd, W}, {"rsqrt*", FloatMultiply, W}, {"sha*", Crypto},
    {"shuf*", VectorShuffle}, {"sqrt*", FloatRoot, W}, {"stmxcsr", Microcode, W}, {"sub*", FloatAdd}, {"test*", CrossDomain, R | fw},
    {"ucomis*", FloatAdd, R | fw}, {"unpck*", VectorShuffle}, {"xor*", VectorInteger}, {"zero*", VectorMove},
};
// clang-format on

bool matches(std::string_view pattern, std::string_view name) {
  return pattern.ends_with('*') ? name.starts_with(pattern.substr(0, pattern.size() - 1)) : name == pattern;
}

template <std::size_t count>
const Line* longest_match(const Line (&table)[count], std::string_view name) {
  const Line* best = nullptr;
  for (const Line& line : table) {
    if (line.name == name) return &line;
    if (matches(line.name, name) && (best == nullptr || line.name.size() > best->name.size())) best = &line;
  }
  return best;
}

bool is_vex(const Row& row) { return row.encoding.starts_with("VEX"); }

InstructionTraits from_line(const Line& line) {
  InstructionTraits t;
  t.op = line.op;
  t.first = (line.marks & W) != 0   ? FirstOperand::Write
            : (line.marks & R) != 0 ? FirstOperand::Read
                                    : FirstOperand::ReadWrite;
  t.reads_flags = (line.marks & fr) != 0;
  t.writes_flags = (line.marks & fw) != 0;
  t.second_written = (line.marks & both) != 0;
  t.serializing = (line.marks & ser) != 0;
  t.open_ended = (line.marks & open) != 0;
  t.branch = line.branch;
  t.reads = line.reads;
  t.writes = line.writes;
  t.loads = line.loads;
  t.stores = line.stores;
  return t;
}

bool has_operand(const Row& row, std::initializer_list<Op> kinds) {
  return std::any_of(std::begin(row.operands), std::end(row.operands),
                     [&](Op op) { return std::find(kinds.begin(), kinds.end(), op) != kinds.end(); });
}

bool has_memory_first(const Row& row) {
  switch (row.operands[0]) {
    case Op::M:
    case Op::Mb:
    case Op::Mw:
    case Op::Md:
    case Op::Mq:
    case Op::Mdq:
    case Op::Mt: return true;
    default: return false;
  }
}

/// What depends on the row's operands and not on the name alone.
void refine(const Row& row, InstructionTraits& t) {
  const unsigned operands = static_cast<unsigned>(
      std::count_if(std::begin(row.operands), std::end(row.operands), [](Op op) { return op != Op::None; }));
  if (row.mnemonic == "imul") {
    if (operands == 1) {
      t.first = FirstOperand::Read;
      t.reads = rax;
      t.writes = rax | rdx;
    } else if (operands == 3) {
      t.first = FirstOperand::Write;
    }
  }
  // The 8-bit forms of MUL, IMUL, DIV and IDIV work in AX alone.
  if (row.operands[0] == Op::Eb && (t.op == Multiply || t.op == Divide)) {
    t.reads = t.writes = rax;
  }
  if (row.mnemonic == "mov" && has_operand(row, {Op::Cd, Op::Dd})) {
    t.op = Microcode;
    t.serializing = row.operands[0] == Op::Cd || row.operands[0] == Op::Dd;
  }
  if (has_operand(row, {Op::Sw, Op::Es, Op::Cs, Op::Ss, Op::Ds, Op::Fs, Op::Gs}) && row.mnemonic != "push") {
    t.op = Microcode;
    t.open_ended = true;
  }
  const bool memory_first = has_memory_first(row);
  // MOVLPS and MOVHPS merge into a register but just store to memory.
  if (memory_first && t.op == VectorShuffle) t.first = FirstOperand::Write;
  // x87 arithmetic works on ST(0).
  if (memory_first && (row.attributes & attr::x87) != 0 && t.first == FirstOperand::ReadWrite)
    t.first = FirstOperand::Read;
  const bool indirect = has_operand(row, {Op::Ev});
  if (t.branch == BranchKind::Direct && indirect) t.branch = BranchKind::Indirect;
  if (t.branch == BranchKind::Call && indirect) t.branch = BranchKind::IndirectCall;
  // A VEX-encoded instruction of three operands leaves its sources alone, but for FMA, which accumulates.
  if (is_vex(row) && t.first == FirstOperand::ReadWrite && t.op != FloatFma && !t.open_ended) {
    t.first = FirstOperand::Write;
  }
}

const Line* line_of(const Row& row) {
  constexpr u32 vector_or_x87 = attr::x87 | attr::mmx | attr::sse | attr::avx;
  std::string_view name = row.mnemonic;
  if ((row.attributes & vector_or_x87) == 0) return longest_match(lines, name);
  if (is_vex(row) && name.starts_with('v')) name.remove_prefix(1);
  return longest_match(float_lines, name);
}

}  // namespace

bool has_traits(const Row& row) { return line_of(row) != nullptr; }

InstructionTraits traits_of(const Row& row) {
  const Line* line = line_of(row);
  InstructionTraits t;
  t.op = Microcode;
  if (line == nullptr) return t;
  t = from_line(*line);
  refine(row, t);
  return t;
}

}  // namespace bunshin
