// Every data instruction of D8-DF against the host's FPU: whole state before and after, random and special operands,
// all rounding and precision controls, empty registers, masked and unmasked exceptions (docs: DESIGN, "How it is
// checked", 1).

#include <gtest/gtest.h>

#include <iomanip>
#include <random>
#include <sstream>

#include "core/x87/environment.h"
#include "tests/core/x87_model.h"

namespace bunshin::x87_test {
namespace {

constexpr EnvironmentFormat long_format{true, true};

SaveImage image_of(const X87State& s) {
  SaveImage image{};
  const EnvironmentImage environment = store_environment(s, long_format);
  const RegisterImage registers = store_registers(s);
  std::copy(environment.begin(), environment.end(), image.begin());
  std::copy(registers.begin(), registers.end(), image.begin() + 28);
  return image;
}

X87State state_of(const SaveImage& image) {
  X87State s;
  EnvironmentImage environment{};
  RegisterImage registers{};
  std::copy_n(image.begin(), environment.size(), environment.begin());
  std::copy_n(image.begin() + 28, registers.size(), registers.begin());
  load_environment(s, environment, long_format);
  load_registers(s, registers);
  return s;
}

bool compares(u8 opcode, u8 modrm) {
  const unsigned reg = (modrm >> 3) & 7;
  if (modrm < 0xc0) return (opcode & 1) == 0 && (reg == 2 || reg == 3);
  switch (opcode) {
    case 0xd8:
    case 0xdc:
    case 0xde: return reg == 2 || reg == 3;
    case 0xd9: return modrm == 0xe4;
    case 0xda: return modrm == 0xe9;
    case 0xdd: return reg == 4 || reg == 5;
    default: return false;
  }
}

/// Status bits that the manual leaves undefined or in which the vendors differ; the manual's response has its own test.
u16 undefined_status(u8 opcode, u8 modrm, const X87State& before, const X87State& after) {
  if (compares(opcode, modrm) && !masked(after, after.status & before_operation)) return conditions;
  const unsigned reg = modrm < 0xc0 ? 8 : (modrm >> 3) & 7;
  const bool comi = (opcode == 0xdb || opcode == 0xdf) && (reg == 5 || reg == 6);
  const bool free = (opcode == 0xdd || opcode == 0xdf) && reg == 0;
  // FLD ST(i) of an empty register onto a full stack: underflow or overflow.
  const bool both_faults = opcode == 0xd9 && reg == 0 && is_empty(before, modrm & 7) && !is_empty(before, 7);
  if (comi || free || both_faults) return C1;
  // FPTAN, FPREM1, FPREM, FSINCOS, FSIN, FCOS without a numeric result.
  const bool remainder = modrm == 0xf5 || modrm == 0xf8;
  const bool reports = opcode == 0xd9 && (remainder || modrm == 0xf2 || modrm == 0xfb || modrm >= 0xfe);
  const bool number = (st(after, 0).sign_exponent & 0x7fff) != 0x7fff;
  return reports && (!number || !masked(after, after.status & before_operation)) ? C0 | C2 | C3 : 0;
}

/// FSTPNCE, which no manual describes, from an empty register.
bool undocumented(u8 opcode, u8 modrm, const X87State& before) {
  return opcode == 0xd9 && modrm >= 0xd8 && modrm < 0xe0 && is_empty(before, 0);
}

/// FCOMI under an unmasked exception: the manual keeps EFLAGS, some processors set them.
bool undefined_flags(u8 opcode, u8 modrm, const X87State& after) {
  const bool comi = modrm >= 0xe8 && modrm < 0xf8 && (opcode == 0xdb || opcode == 0xdf);
  return comi && !masked(after, after.status & before_operation);
}

class Generator {
 public:
  explicit Generator(u64 seed) : random_(seed) {}
  u64 next() { return random_(); }
  bool one_in(unsigned n) { return random_() % n == 0; }

  X87Register value() {
    static constexpr u64 mantissas[] = {0,
                                        1,
                                        0x8000000000000000,
                                        0x8000000000000001,
                                        0xc000000000000000,
                                        0xffffffffffffffff,
                                        0x7fffffffffffffff,
                                        0x4000000000000000,
                                        0xa000000000000000,
                                        0xbfffffffffffffff,
                                        0x8000000000000800,
                                        0xfffffffffffff800,
                                        0x8000008000000000};
    static constexpr u16 exponents[] = {0,      1,      2,      0x3ffe, 0x3fff, 0x4000, 0x4001, 0x400e, 0x401e,
                                        0x403e, 0x403f, 0x403d, 0x3fbf, 0x3f80, 0x3f81, 0x3c00, 0x3c01, 0x43fe,
                                        0x43ff, 0x407e, 0x407f, 0x7ffd, 0x7ffe, 0x7fff, 0x7fff, 0x3bff, 0x403a};
    u64 mantissa = one_in(2) ? mantissas[next() % std::size(mantissas)] : next() | u64{1} << 63;
    if (one_in(8)) mantissa = next();
    if (one_in(4)) mantissa &= ~u64{0} << (next() % 64);
    u64 exponent = exponents[next() % std::size(exponents)];
    if (one_in(3)) exponent = 0x3fff - 40 + next() % 80;
    if (one_in(12)) exponent = next() & 0x7fff;
    return {mantissa, static_cast<u16>(exponent | (next() & 0x8000))};
  }

  X87State state() {
    X87State s;
    for (X87Register& r : s.registers) r = value();
    if (one_in(3)) s.registers[next() & 7] = s.registers[next() & 7];
    s.top = next() & 7;
    if (one_in(3))
      s.empty = static_cast<u8>(next());
    else if (one_in(2))
      s.empty = 0;
    else
      s.empty = static_cast<u8>(1u << x87::physical(s, 7));
    static constexpr u16 precisions[] = {0, 0x200, 0x300};
    const u64 masks = one_in(3) ? next() & 0x3f : 0x3f;
    set_control_word(s, static_cast<u16>(masks | precisions[next() % 3] | (next() & 0xc00)));
    const u64 flags = next() & 0x477f & ~(~u64{s.control} & 0x3f);
    s.status = static_cast<u16>(one_in(2) ? flags : flags & 0x4700);
    update_summary(s);
    return s;
  }

  Memory memory() {
    Memory m;
    for (u8& b : m) b = static_cast<u8>(next());
    const X87Register v = value();
    const auto put = [&](auto x) { std::memcpy(m.data(), &x, sizeof x); };
    const u64 sign = next() & 1;
    static constexpr u32 e32[] = {0, 1, 127, 128, 254, 255, 255};
    static constexpr u32 e64[] = {0, 1, 1023, 1024, 2046, 2047, 2047};
    switch (next() % 5) {
      case 0: put(static_cast<u32>(sign << 31 | u64{e32[next() % 7]} << 23 | (v.mantissa >> 40 & 0x7fffff))); break;
      case 1: put(sign << 63 | u64{e64[next() % 7]} << 52 | v.mantissa << 1 >> 12); break;
      case 2:
        std::memcpy(m.data(), &v.mantissa, 8);
        std::memcpy(m.data() + 8, &v.sign_exponent, 2);
        break;
      case 3: put(static_cast<u64>(static_cast<i64>(next()) >> (next() % 64))); break;
      default: break;
    }
    return m;
  }

  /// Valid packed decimal: what FBLD does with other digits is undefined.
  Memory decimal() {
    Memory m = memory();
    for (unsigned i = 0; i < 9; ++i) m[i] = static_cast<u8>(next() % 10 | next() % 10 << 4);
    return m;
  }

 private:
  std::mt19937_64 random_;
};

std::string describe(const X87State& s, u16 ignored_status) {
  std::ostringstream o;
  o << std::hex << "cw " << s.control << " sw " << (status_word(s) & ~ignored_status) << " empty " << unsigned{s.empty};
  for (unsigned i = 0; i < 8; ++i) {
    o << (is_empty(s, i) ? "\n  (" : "\n  ") << std::setfill('0') << std::setw(4) << st(s, i).sign_exponent << ' '
      << std::setw(16) << st(s, i).mantissa;
  }
  return o.str();
}

struct Machine {
  X87State state;
  Memory memory;
  u64 flags;
};

std::string describe(const Machine& m, u16 ignored_status) {
  std::ostringstream o;
  o << describe(m.state, ignored_status) << std::hex << "\nmemory " << from_bytes<u64>(m.memory) << ' '
    << (m.memory[8] | m.memory[9] << 8) << " flags " << m.flags;
  return o.str();
}

/// Leaves flags and conditions behind on the host, as unrelated code may: nothing of them may reach the guest.
void soil_host(u64 random) {
  SaveImage image{};
  X87State s;
  s.status = static_cast<u16>(random & 0x473f);
  const EnvironmentImage environment = store_environment(s, long_format);
  std::copy(environment.begin(), environment.end(), image.begin());
  __asm__ volatile("frstor %0" : : "m"(image));
}

/// Runs one encoding many times; false if it is not one of the model's.
bool check_encoding(HostInstruction& host_instruction, Generator& generate, u8 opcode, u8 modrm) {
  for (unsigned round = 0; round < 4000; ++round) {
    const bool decimal = opcode == 0xdf && modrm == 0x22;
    const Machine before{generate.state(), decimal ? generate.decimal() : generate.memory(), generate.next() & 0x8d5};
    if (undocumented(opcode, modrm, before.state)) continue;
    Machine ours = before, theirs = before;
    soil_host(generate.next());
    if (!model(ours.state, opcode, modrm, ours.memory, ours.flags)) return false;
    SaveImage after{};
    host_instruction.run(opcode, modrm, image_of(before.state), after, theirs.memory, theirs.flags);
    theirs.state = state_of(after);
    const u16 ignored = undefined_status(opcode, modrm, before.state, ours.state);
    if (undefined_flags(opcode, modrm, ours.state)) theirs.flags = ours.flags;
    if (describe(ours, ignored) == describe(theirs, ignored)) continue;
    ADD_FAILURE() << std::hex << "opcode " << unsigned{opcode} << ' ' << unsigned{modrm} << "\nbefore "
                  << describe(before, 0) << "\nours " << describe(ours, ignored) << "\nhost "
                  << describe(theirs, ignored);
    return true;
  }
  return true;
}

class Differential : public testing::TestWithParam<int> {};

TEST_P(Differential, MatchesHost) {
  const u8 opcode = static_cast<u8>(GetParam());
  HostInstruction host_instruction;
  Generator generate(opcode);
  unsigned checked = 0;
  for (unsigned reg = 0; reg < 8; ++reg) {
    checked += check_encoding(host_instruction, generate, opcode, static_cast<u8>(reg << 3 | 2));
  }
  for (unsigned modrm = 0xc0; modrm < 0x100; ++modrm) {
    checked += check_encoding(host_instruction, generate, opcode, static_cast<u8>(modrm));
  }
  EXPECT_GE(checked, 30u);
}

std::string opcode_name(const testing::TestParamInfo<int>& p) { return {'D', "89ABCDEF"[p.param - 0xd8]}; }

INSTANTIATE_TEST_SUITE_P(Escape, Differential, testing::Range(0xd8, 0xe0), opcode_name);

}  // namespace
}  // namespace bunshin::x87_test
