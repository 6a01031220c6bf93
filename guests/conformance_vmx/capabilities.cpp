// Capability MSRs against each other and against what entries accept (Intel SDM vol. 3, appendix A).

#include "guests/conformance_vmx/ept.h"
#include "guests/runtime/interrupts.h"

namespace guest {

namespace {

struct WordName {
  Word word;
  const char* name;
  u32 default1;  ///< the bits of A.3 to A.5 that the plain MSR says must be 1
};
constexpr WordName words[] = {
    {Word::Pin, "pin-based", 0x16},    {Word::Primary, "primary", 0x0401'e172}, {Word::Secondary, "secondary", 0},
    {Word::Exit, "exit", 0x0003'6dff}, {Word::Entry, "entry", 0x11ff},
};
u32 plain_msr(Word word) {
  constexpr u32 numbers[] = {msr_vmx_pin, msr_vmx_primary, msr_vmx_secondary, msr_vmx_exit, msr_vmx_entry};
  return numbers[static_cast<unsigned>(word)];
}

void consistent() {
  begin_group("capabilities");
  const u64 basic = read_msr(msr_vmx_basic);
  check("basic, bit 31 is clear", Field{"bit", basic >> 31 & 1, 0});
  check_true("basic, size of a region", (basic >> 32 & 0x1fff) > 0 && (basic >> 32 & 0x1fff) <= 4096);
  check("basic, memory type", Field{"type", basic >> 50 & 15, 6});
  for (const WordName& each : words) {
    if (each.word == Word::Secondary && !has(Word::Primary, primary_control::secondary)) {
      absent(each.name), absent(each.name);
      continue;
    }
    const u64 plain = read_msr(plain_msr(each.word));
    begin_line(each.name, ", ");
    check("what must be 1 may be 1", Field{"bits", plain & ~(plain >> 32) & 0xffff'ffff, 0});
    begin_line(each.name, ", ");
    check("default1 class", Field{"bits", ~plain & each.default1, 0});
  }
  if ((basic >> 55 & 1) == 0) {
    absent("true capabilities");
  } else {
    bool agrees = true;
    for (const WordName& each : words) {
      if (each.word == Word::Secondary) continue;
      const u64 plain = read_msr(plain_msr(each.word)), precise = capability(each.word);
      // They differ only in bits of the default1 class, which the plain one says must be 1 (A.3.1).
      agrees = agrees && ((plain ^ precise) & ~u64{each.default1}) == 0;
    }
    check_true("true capabilities", agrees);
  }
  check("cr0, fixed to 1 is allowed to be 1", Field{"bits", read_msr(msr_cr0_fixed0) & ~read_msr(msr_cr0_fixed1), 0});
  check("cr4, fixed to 1 is allowed to be 1", Field{"bits", read_msr(msr_cr4_fixed0) & ~read_msr(msr_cr4_fixed1), 0});
  check("cr0, pg, ne and pe are fixed", Field{"bits", read_msr(msr_cr0_fixed0), 0x8000'0021});
  check("cr4, vmxe is fixed", Field{"bits", read_msr(msr_cr4_fixed0), 0x2000});
  check_true("the highest index of a field", (read_msr(msr_vmcs_enum) & 0x3fe) >= 0x15 * 2);
  check_true("ept and vpid capabilities",
             !has_secondary(secondary_control::ept) || (read_msr(msr_ept_vpid) >> 6 & 1) != 0);
  check_true("unrestricted guests need ept",
             !has_secondary(secondary_control::unrestricted) || has_secondary(secondary_control::ept));
}

/// Each bit of a word against what an entry says of it (26.2.1): one line for all bits.
void bits_of(const WordName& each) {
  begin_line(each.name, ", ");
  if (each.word == Word::Secondary && !has(Word::Primary, primary_control::secondary)) {
    return absent("reserved bits");
  }
  u64 wrong = 0;
  for (unsigned bit = 0; bit < 32; ++bit) {
    const u32 mask = 1u << bit;
    const bool may_be = (may_be_1(each.word) & mask) != 0, must_be = (must_be_1(each.word) & mask) != 0;
    if (may_be && !must_be) continue;
    prepare(""_code);
    if (each.word == Word::Secondary) enable(Word::Secondary, 0);
    put(field_of(each.word), get(field_of(each.word)) ^ mask);
    const u64 flags = enter();
    if (flags != failed_valid || get(vmcs::instruction_error) != 7) wrong |= mask;
  }
  check("reserved bits", Field{"accepted", wrong, 0});
}

void read_only() {
  begin_group("capability msrs");
  bool all = true;
  for (u32 number = msr_vmx_basic; number <= msr_vmcs_enum; ++number) {
    const Exception e = attempt([](u64 index) { write_msr(static_cast<u32>(index), 0); }, number);
    all = all && e.raised && e.vector == 13;
  }
  check_true("read-only", all);
}

}  // namespace

void check_capabilities() {
  consistent();
  begin_group("controls");
  for (const WordName& each : words) bits_of(each);
  read_only();
}

}  // namespace guest
