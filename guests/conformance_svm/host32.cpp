// A host in 32-bit protected mode: its paging mode is that of the nested tables, and without paging there are none (AMD APM
// vol. 2, ch. 15, "Nested paging").

#include "guests/conformance_svm/tables.h"

extern "C" void svm_enter_from_32_bits(guest::u64 vmcb, guest::u64 pae_pointers);

namespace guest {

namespace {

constexpr u64 low_half = 0xffff'ffff;
alignas(32) u64 nested_pointers[4];
alignas(4096) u64 nested_directory[512];

/// Three levels that map the lowest GiB onto itself but for one 2 MiB page.
void fill_nested(unsigned absent_page) {
  for (unsigned i = 0; i < 512; ++i) nested_directory[i] = u64{i} << 21 | present | writable | user | large;
  nested_directory[absent_page] = 0;
  nested_pointers[0] = reinterpret_cast<u64>(nested_directory) | present;
}

void nest() {
  vmcb.nested_control = 1;
  vmcb.nested_cr3 = reinterpret_cast<u64>(nested_pointers);
}

void enter_32(bool paging) {
  svm_enter_from_32_bits(reinterpret_cast<u64>(&vmcb), paging ? reinterpret_cast<u64>(pae_pointers) : 0);
}

void check_left(const char* name, bool paging) {
  enter_32(paging);
  check(name, Field{"exit", vmcb.exit_code, exit_code::vmmcall}, Field{"rip", code_offset(), 1});
}

}  // namespace

void check_host_of_32_bits() {
  begin_group("32-bit host");
  prepare(Mode::Protected, "\x90"_code);
  check_left("without paging", false);
  prepare(Mode::Pae, "\x90"_code);
  check_left("with pae paging", true);
  prepare(Mode::Long, "\x90"_code);
  check_left("guest of 64 bits", true);
  constexpr const char* names[] = {"nested paging without paging", "nested tables of three levels",
                                   "nested tables of three levels, an absent page"};
  if (!has(svm_feature::nested_paging)) {
    for (const char* name : names) absent(name);
    return;
  }
  constexpr unsigned elsewhere = 400;  // of 2 MiB
  fill_nested(elsewhere);
  prepare(Mode::Protected, "\x90"_code);
  nest();
  enter_32(false);
  check(names[0], Field{"exit", vmcb.exit_code & low_half, exit_code::invalid & low_half});
  prepare(Mode::Protected, "\x90"_code);
  nest();
  check_left(names[1], true);
  // MOV EAX, [32000000H]
  prepare(Mode::Protected, "\xa1\x00\x00\x00\x32"_code);
  nest();
  enter_32(true);
  check(names[2], Field{"exit", vmcb.exit_code, exit_code::nested_page_fault},
        Field{"address", vmcb.exit_info2, u64{elsewhere} << 21}, Field{"rip", code_offset(), 0});
}

}  // namespace guest
