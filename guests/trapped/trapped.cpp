// Every kind of instruction with an operand in memory that a hypervisor watches, beside the same instruction in RAM: a device's memory
// (the VGA's text), a page that is a page table, and each beside the other across a page's end. Registers, flags, vectors and memory must
// be the same. What is printed depends on the processor's features alone.

#include "guests/runtime/console.h"

namespace guest {
namespace {

constexpr u64 page = 4096, window = u64{1} << 39, margin = 96;
constexpr u64 device_begin = 0xb8000;
constexpr unsigned rounds = 2;

/// As run_case has it: RAX, RCX, RDX, RBX, -, RBP, RSI, RDI, code, flags, R8; vectors.
struct Registers {
  u64 rax, rcx, rdx, rbx, unused, rbp, rsi, rdi, code, flags, r8, padding[5];
  u64 vector[3][4];
};
static_assert(__builtin_offsetof(Registers, vector) == 0x80);

struct Case {
  const char* name;
  u64 code;
  u64 what;
  u64 undefined_flags() const { return what & 0xffff; }
  bool aligned() const { return (what >> 32 & 1) != 0; }
  unsigned feature() const { return what >> 40 & 0xff; }
};

extern "C" const Case trapped_cases[];
extern "C" void run_case(Registers* registers, bool avx);
extern "C" u64 page_map[512];

enum Kind : u8 { Ram, Device, Table };
struct Window {
  Kind first, second;
};
/// The first one is what all others are compared with.
constexpr Window windows[] = {{Ram, Ram},   {Device, Device}, {Table, Table},  {Ram, Device},  {Device, Ram},
                              {Ram, Table}, {Table, Ram},     {Device, Table}, {Table, Device}};

struct alignas(page) Page {
  u64 words[512];
};
Page ram[2], tables[2];
Page level3, level2, level1;

/// Where the tables of `tables` are used: their middle entry leads to RAM.
constexpr u64 used_at(unsigned table) { return window + (u64{2} << 20) * (1 + table) + 256 * page; }

struct Random {
  u64 state;
  u64 next() {
    state = state * 6364136223846793005 + 1442695040888963407;
    const u64 mixed = state ^ state >> 29;
    return mixed * 0x9e37'79b9'7f4a'7c15 >> 7 ^ mixed << 31;
  }
};

u64 address_of(const void* object) { return reinterpret_cast<u64>(object); }
void forget(u64 linear) { asm volatile("invlpg (%0)" : : "r"(linear) : "memory"); }

void build_tables() {
  page_map[window >> 39] = address_of(&level3) | 3;
  level3.words[0] = address_of(&level2) | 3;
  level2.words[0] = address_of(&level1) | 3;
  for (unsigned i = 0; i < 2; ++i) level2.words[1 + i] = address_of(&tables[i]) | 3;
}

u64 frame(Kind kind, unsigned place) {
  if (kind == Device) return device_begin + place * page;
  return address_of(kind == Ram ? &ram[place] : &tables[place]);
}

/// Both pages mapped, and the page tables among them in use.
void open_window(const Window& w) {
  volatile u64* const entries = level1.words;
  entries[0] = frame(w.first, 0) | 3;
  entries[1] = frame(w.second, 1) | 3;
  for (u64 i = 0; i < 2; ++i) {
    forget(window + i * page);
    forget(used_at(i));
    volatile u64* const words = tables[i].words;
    if (words[256] != (address_of(&ram[0]) | 3)) words[256] = address_of(&ram[0]) | 3;
    static_cast<void>(*reinterpret_cast<volatile u64*>(used_at(i)));
  }
}

volatile u64* border() { return reinterpret_cast<volatile u64*>(window + page - margin); }

void fill(u64 seed) {
  Random random{seed};
  for (unsigned i = 0; i < 2 * margin / 8; ++i) border()[i] = random.next();
}

struct Outcome {
  Registers registers;
  u64 memory[2 * margin / 8];
};

void play(const Case& c, const Window& w, u64 seed, bool avx, Outcome& out) {
  Random random{seed};
  open_window(w);
  fill(random.next());
  Registers& r = out.registers;
  u64* const words = reinterpret_cast<u64*>(&r);
  for (unsigned i = 0; i < sizeof r / 8; ++i) words[i] = random.next();
  constexpr u64 arithmetic = 0x8d5, fixed = 2;
  const u64 place = random.next();
  r.rdi = window + page + (c.aligned() ? (place & 1) * 32 - 32 : place % 40 - 24);
  r.code = c.code;
  r.flags = (r.flags & arithmetic) | fixed;
  run_case(&r, avx);
  r.flags &= ~c.undefined_flags();
  for (unsigned i = 0; i < 2 * margin / 8; ++i) out.memory[i] = border()[i];
}

bool bit(u32 word, unsigned number) { return (word >> number & 1) != 0; }

struct Features {
  bool has[13];
};

/// In the order of cases.S. AVX is switched on if there is any.
Features find_features() {
  const auto basic = cpuid(1), structured = cpuid(0).eax >= 7 ? cpuid(7) : decltype(cpuid(1)){};
  const u32 extended = cpuid(0x8000'0001).ecx;
  const bool avx = bit(basic.ecx, 26) && bit(basic.ecx, 28);
  if (avx) {
    asm volatile("mov %%cr4, %%rax; or $0x40000, %%rax; mov %%rax, %%cr4" : : : "rax");
    asm volatile("xsetbv" : : "c"(0), "a"(7), "d"(0));
  }
  return {{true, bit(basic.ecx, 0), bit(basic.ecx, 19), bit(basic.ecx, 13), bit(basic.ecx, 23), bit(basic.ecx, 22),
           bit(basic.ecx, 20), avx, avx && bit(structured.ebx, 5), bit(structured.ebx, 3), bit(structured.ebx, 8),
           bit(extended, 5), bit(structured.ebx, 19)}};
}

/// A digest of what the instruction does; a line for each difference.
u64 check(const Case& c, bool avx, unsigned& failed) {
  static Outcome expected, got;
  u64 digest = 0;
  for (unsigned round = 0; round < rounds; ++round) {
    const u64 seed = c.what * 31 + round * 977 + (digest | 1);
    play(c, windows[0], seed, avx, expected);
    for (unsigned i = 1; i < sizeof windows / sizeof windows[0]; ++i) {
      play(c, windows[i], seed, avx, got);
      const u64* const a = reinterpret_cast<const u64*>(&expected);
      const u64* const b = reinterpret_cast<const u64*>(&got);
      for (unsigned word = 0; word < sizeof expected / 8; ++word) {
        if (a[word] == b[word]) continue;
        ++failed;
        print("trapped: FAILED: ", c.name, ": window ", u64{i}, " word ", u64{word}, ": ", Hex{a[word]}, " in RAM, ",
              Hex{b[word]}, " here, operand at ", Hex{expected.registers.rdi - window}, "\n");
        break;
      }
    }
    const u64* const words = reinterpret_cast<const u64*>(&expected);
    for (unsigned word = 0; word < sizeof expected / 8; ++word) digest = (digest ^ words[word]) * 0x100'0000'01b3;
  }
  return digest;
}

}  // namespace
}  // namespace guest

extern "C" guest::u32 kernel_main() {
  using namespace guest;
  build_tables();
  const Features features = find_features();
  unsigned failed = 0, played = 0;
  for (const Case* c = trapped_cases; c->name != nullptr; ++c) {
    if (!features.has[c->feature()]) continue;
    print("trapped: ", c->name, ": ");
    const u64 digest = check(*c, features.has[7], failed);
    print(Hex{digest}, "\n");
    ++played;
  }
  print("trapped: ", u64{played}, " instructions, ", u64{failed}, " failed\n");
  return failed == 0 ? 0 : 1;
}
