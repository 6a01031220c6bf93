// Permission of every kind of page for every kind of access, and the error codes of page faults (Intel SDM vol. 3, 4.6,
// 4.7); accessed and dirty bits (4.8).

#include "guests/conformance_long/machine.h"

extern "C" char g_read[], g_write[], g_jump[], g_locked[], g_read_ac[], g_crossing[], g_push_system[];
extern "C" guest::u64 page_directory_pointers[];
asm(R"(
        .text
        .code64
g_read:     mov (%rax), %cl
            int $0x80
g_write:    mov %cl, (%rax)
            int $0x80
g_locked:   lock orl $0, (%rax)
            int $0x80
g_crossing: movq $-1, -4(%rax)
            int $0x80
g_jump:     jmp *%rax
)");

namespace guest {

namespace {

constexpr u64 window = u64{1} << 32;  ///< the first address that boot.S leaves unmapped
constexpr u64 P = 1, W = 2, U = 4, A = 0x20, D = 0x40, XD = u64{1} << 63;
constexpr u64 cr0_wp = 1u << 16, cr4_smep = 1u << 20, cr4_smap = 1u << 21;
alignas(4096) u64 directory[512], table[512];
alignas(4096) u8 frames[2][4096];

u64 read_cr0() {
  u64 v;
  asm volatile("mov %%cr0, %0" : "=r"(v));
  return v;
}
u64 read_cr4() {
  u64 v;
  asm volatile("mov %%cr4, %0" : "=r"(v));
  return v;
}
void write_cr0(u64 v) { asm volatile("mov %0, %%cr0" : : "r"(v)); }
void write_cr4(u64 v) { asm volatile("mov %0, %%cr4" : : "r"(v)); }

void map(unsigned page, u64 bits) {
  table[page] = (reinterpret_cast<u64>(frames[page]) | bits);
  invalidate_page(window + page * 4096);
}

struct Access {
  const char* name;
  const char* code;
};
constexpr Access accesses[] = {{"read", g_read}, {"write", g_write}, {"fetch", g_jump}, {"locked", g_locked}};

void print_result() {
  if (outcome.ended_well())
    write(" .");
  else if (outcome.vector == 14)
    print(" ", Hex{outcome.error});
  else
    print(" #", Hex{outcome.vector});
}

/// Opens the bench's own pages to user mode, or closes them, so that it can run under SMEP and SMAP.
void open_identity_map(bool open) {
  u64* const entries = reinterpret_cast<u64*>(page_directory_pointers[0] & ~u64{0xfff});
  for (unsigned i = 0; i < 512; ++i) entries[i] = open ? entries[i] | U : entries[i] & ~U;
  asm volatile("mov %%cr3, %%rax; mov %%rax, %%cr3" : : : "rax", "memory");
}

void check_permissions() {
  const u64 cr0 = read_cr0(), cr4 = read_cr4();
  for (const u64 wp : {u64{0}, cr0_wp}) {
    for (const u64 protection : {u64{0}, cr4_smep, cr4_smap, cr4_smep | cr4_smap}) {
      for (const u16 cs : {code0, code3}) {
        if (cs == code3 && protection != 0) continue;  // says nothing of user mode
        open_identity_map(cs == code3);
        for (const u64 ac : {u64{0}, u64{0x4'0000}}) {
          for (const Access& a : accesses) {
            print("page cpl", u32{cs} & 3, wp != 0 ? " wp" : "", (protection & cr4_smep) != 0 ? " smep" : "",
                  (protection & cr4_smap) != 0 ? " smap" : "", ac != 0 ? " ac " : " ", a.name, ":");
            for (unsigned kind = 0; kind < 16; ++kind) {
              restore_tables();
              frames[0][0] = 0xcd;
              frames[0][1] = 0x80;
              map(0, (kind & 1 ? P : 0) | (kind & 2 ? W : 0) | (kind & 4 ? U : 0) | (kind & 8 ? XD : 0));
              write_cr0((cr0 & ~cr0_wp) | wp);
              write_cr4(cr4 | protection);
              run(a.code, cs, {window, 0, 0, 0}, 2 | ac);
              write_cr4(cr4);
              write_cr0(cr0);
              print_result();
              const u64 marks = table[0] & (A | D);
              if (marks != 0) print(marks == A ? "a" : marks == D ? "d" : "ad");
            }
            write("\n");
          }
        }
      }
    }
  }
  open_identity_map(true);
}

/// A write over a page boundary whose second half may not be written writes nothing.
void check_crossing() {
  for (const u64 second : {u64{0}, P | U, P | W | U, P | W}) {
    restore_tables();
    map(0, P | W | U);
    map(1, second);
    for (unsigned i = 0; i < 8; ++i) frames[0][4088 + i] = 0x11;
    frames[1][0] = 0x22;
    run(g_crossing, code3, {window + 4096, 0, 0, 0});
    print("write over a page boundary, second page ", Hex{second}, ": ");
    print_outcome(g_crossing);
    print(" cr2 ", Hex{outcome.vector == 14 ? outcome.cr2 - window : 0}, " first ", Hex{frames[0][4092]}, " second ",
          Hex{frames[1][0]}, "\n");
  }
}

void check_reserved() {
  struct Case {
    const char* name;
    u64 bits;
  };
  constexpr Case cases[] = {{"physical address too wide", u64{1} << 51}, {"ignored bits", u64{0x7ff} << 52 | 0xe00}};
  for (const Case& c : cases) {
    for (const u16 cs : {code0, code3}) {
      restore_tables();
      map(0, P | W | U | c.bits);
      run(g_read, cs, {window, 0, 0, 0});
      print("entry with ", c.name, " cpl", u32{cs} & 3, ": ");
      print_outcome(g_read);
      write("\n");
    }
  }
  restore_tables();
  directory[1] = P | W | U | 0x80 | 0x2000;
  run(g_read, code3, {window + 0x20'0000, 0, 0, 0});
  write("large page with a reserved bit: ");
  print_outcome(g_read);
  write("\n");
  directory[1] = 0;
}

}  // namespace

void check_long_paging() {
  page_directory_pointers[4] = reinterpret_cast<u64>(directory) | P | W | U;
  directory[0] = reinterpret_cast<u64>(table) | P | W | U;
  check_permissions();
  check_crossing();
  check_reserved();
}

}  // namespace guest
