// What SVM's tables say: permission maps, EXITINFO of an I/O instruction, events in fields, consistency checks (AMD APM vol. 2,
// 15.10, 15.11, 15.20 and 15.5.1).

#include <functional>

#include <gtest/gtest.h>

#include "core/system/control_registers.h"
#include "core/system/msr.h"
#include "core/virt/svm/consistency.h"
#include "core/virt/svm/event_field.h"
#include "core/virt/svm/permission_map.h"
#include "tests/core/virt/svm_fixture.h"

namespace bunshin {
namespace {

using svm::ExitCode;
using svm::Vmcb;

TEST(SvmPermissionMaps, PortsOfAnAccessAreNeighbouringBits) {
  EXPECT_EQ(svm::io_map_bits(0x3f8, 1).byte, 0x7fu);
  EXPECT_EQ(svm::io_map_bits(0x3f8, 1).mask, 1u);
  EXPECT_EQ(svm::io_map_bits(0x71, 4).byte, 0xeu);
  EXPECT_EQ(svm::io_map_bits(0x71, 4).mask, 0x1eu);
  EXPECT_EQ(svm::io_map_bits(0xffff, 4).byte, 0x1fffu);
  EXPECT_EQ(svm::io_map_bits(0xffff, 4).mask, 0x780u);
}

TEST(SvmPermissionMaps, MsrsLieInThreeRanges) {
  struct Case {
    u32 index;
    bool write;
    u64 byte;
    u16 mask;
  };
  for (const Case& c : {Case{0, false, 0, 1}, Case{0x10, true, 4, 2}, Case{0x1fff, true, 0x7ff, 0x80},
                        Case{0xc000'0080, false, 0x820, 1}, Case{0xc001'0117, true, 0x1045, 0x80}}) {
    const auto bits = svm::msr_map_bits(c.index, c.write);
    ASSERT_TRUE(bits.has_value()) << std::hex << c.index;
    EXPECT_EQ(bits->byte, c.byte) << std::hex << c.index;
    EXPECT_EQ(bits->mask, c.mask) << std::hex << c.index;
  }
  for (const u32 outside : {0x2000u, 0x4000'0000u, 0xc000'2000u, 0xc001'2000u, 0xffff'ffffu})
    EXPECT_FALSE(svm::msr_map_bits(outside, false).has_value()) << std::hex << outside;
}

TEST(SvmExitInfo, TellsAStringInstructionFromAPlainOne) {
  Record r;
  r.prefixes = 2 << 2;  // 64-bit addresses
  r.segment = static_cast<u8>(Seg::FS);
  EXPECT_EQ(svm::io_exit_info(r, {.port = 0x3f8, .bytes = 1, .input = true}, true), 0x3f8'0211u);
  EXPECT_EQ(svm::io_exit_info(r, {.port = 0x70, .bytes = 4, .string = true, .repeated = true}, true), 0x70'124cu);
  EXPECT_EQ(svm::io_exit_info(r, {.port = 0x70, .bytes = 4, .string = true, .repeated = true}, false), 0x70'024cu);
}

TEST(SvmEventField, ReadsBackWhatItSays) {
  const Event event{.vector = 14, .has_error_code = true, .error_code = 6};
  const u64 value = svm::encode_event(event);
  EXPECT_EQ(value, 0x6'8000'0b0eu);
  const auto decoded = svm::decode_injection(value);
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(decoded->vector, 14u);
  EXPECT_EQ(decoded->error_code, 6u);
  EXPECT_FALSE(svm::decode_injection(value & ~svm::event_field::valid).has_value());
}

TEST(SvmEventField, RefusesReservedTypesAndVectorsThatAreNoException) {
  const auto field = [](u64 type, u64 vector) { return vector | type << 8 | svm::event_field::valid; };
  for (const u64 type : {1u, 5u, 6u, 7u}) EXPECT_TRUE(svm::is_illegal_injection(field(type, 3)));
  EXPECT_TRUE(svm::is_illegal_injection(field(3, 2)));
  for (const u64 vector : {9u, 15u, 20u, 31u, 32u}) EXPECT_TRUE(svm::is_illegal_injection(field(3, vector))) << vector;
  EXPECT_FALSE(svm::is_illegal_injection(field(3, 14)));
  EXPECT_FALSE(svm::is_illegal_injection(field(0, 0xff)));
  EXPECT_FALSE(svm::is_illegal_injection(field(1, 3) & ~svm::event_field::valid));
}

TEST(SvmConsistency, EveryRuleRefusesWhatBreaksIt) {
  SvmMachine m;
  const CpuState& s = m.state();
  const svm::ConsistencyContext context{m.profile, cr4_writable(m.profile), efer_writable(m.processor.cpu()),
                                        s.paging()};
  ASSERT_EQ(svm::inconsistency(m.guest, context), "");
  struct Case {
    const char* what;
    std::function<void(Vmcb&)> spoil;
  };
  const u64 beyond = u64{1} << m.profile.physical_bits;
  const Case cases[] = {
      {"EFER.SVME", [](Vmcb& v) { v.save.efer &= ~efer::SVME; }},
      {"CR0.NW without CD", [](Vmcb& v) { v.save.cr0 |= cr0::NW; }},
      {"CR0[63:32]", [](Vmcb& v) { v.save.cr0 |= u64{1} << 32; }},
      {"CR3", [beyond](Vmcb& v) { v.save.cr3 |= beyond; }},
      {"CR4", [](Vmcb& v) { v.save.cr4 |= u64{1} << 31; }},
      {"DR6[63:32]", [](Vmcb& v) { v.save.dr6 |= u64{1} << 63; }},
      {"DR7[63:32]", [](Vmcb& v) { v.save.dr7 |= u64{1} << 32; }},
      {"EFER", [](Vmcb& v) { v.save.efer |= u64{1} << 9; }},
      {"long mode without PAE", [](Vmcb& v) { v.save.cr4 &= ~u64{cr4::PAE}; }},
      {"long mode without PE", [](Vmcb& v) { v.save.cr0 &= ~u64{cr0::PE}; }},
      {"CS.L and CS.D", [](Vmcb& v) { v.save.cs.attributes |= 1 << 10; }},
      {"VMRUN not intercepted", [](Vmcb& v) { v.control.intercepts[4] = 0; }},
      {"IOPM", [beyond](Vmcb& v) { v.control.io_map = beyond - 0x1000; }},
      {"MSRPM", [beyond](Vmcb& v) { v.control.msr_map = beyond - 0x1000; }},
      {"EVENTINJ", [](Vmcb& v) { v.control.event_injection = 0x8000'0100; }},
      {"ASID", [](Vmcb& v) { v.control.asid = 0; }},
      {"nCR3", [beyond](Vmcb& v) { v.control.nested_control = 1, v.control.nested_cr3 = beyond; }},
      {"gPAT", [](Vmcb& v) { v.control.nested_control = 1, v.save.pat = 0x02; }},
  };
  for (const Case& c : cases) {
    Vmcb spoilt = m.guest;
    c.spoil(spoilt);
    EXPECT_NE(svm::inconsistency(spoilt, context), "") << c.what;
  }
  Vmcb nested = m.guest;
  nested.control.nested_control = 1;
  svm::ConsistencyContext unpaged = context;
  unpaged.host_paging = false;
  EXPECT_EQ(svm::inconsistency(nested, context), "");
  EXPECT_NE(svm::inconsistency(nested, unpaged), "");
}

TEST(SvmConsistency, AProcessorWithoutLongModeRefusesIt) {
  SvmMachine m;
  CpuProfile without = m.profile;
  without.features.reset(static_cast<unsigned>(Feature::Lm));
  const svm::ConsistencyContext context{without, cr4_writable(m.profile), efer_writable(m.processor.cpu()), true};
  EXPECT_EQ(svm::inconsistency(m.guest, context), "long mode is asked for and not there");
}

TEST(SvmRegisters, LockGuardsTheSwitchUntilTheKeyFits) {
  SvmMachine m;
  svm::Svm& svm = m.svm();
  m.state().msr.efer &= ~efer::SVME;
  EXPECT_TRUE(svm.write_key(0x1234));
  EXPECT_TRUE(svm.write_vm_cr(svm::vm_cr::svm_disable | svm::vm_cr::lock));
  EXPECT_EQ(svm.efer_extension(), 0U);
  EXPECT_TRUE(svm.write_vm_cr(0));
  EXPECT_EQ(svm.efer_extension(), 0U);
  EXPECT_TRUE(svm.write_key(0x1235));
  EXPECT_TRUE(svm.write_vm_cr(0));
  EXPECT_EQ(svm.efer_extension(), 0U);
  EXPECT_TRUE(svm.write_key(0x1234));
  EXPECT_TRUE(svm.write_vm_cr(0));
  EXPECT_EQ(svm.efer_extension(), efer::SVME);
}

TEST(SvmRegisters, ReservedBitsAreRefused) {
  SvmMachine m;
  EXPECT_FALSE(m.svm().write_vm_cr(0x20));
  EXPECT_FALSE(m.svm().write_hsave(0x6800));
  EXPECT_FALSE(m.svm().write_hsave(u64{1} << m.profile.physical_bits));
  EXPECT_FALSE(m.svm().write_tsc_ratio(u64{1} << 40));
  EXPECT_FALSE(m.svm().write_vm_cr(svm::vm_cr::svm_disable)) << "while EFER.SVME is set";
}

TEST(SvmTime, GuestsCounterIsScaledAndMoved) {
  SvmMachine m;
  EXPECT_TRUE(m.svm().write_tsc_ratio(u64{3} << 31));  // 1.5
  m.guest_bytes({0x0f, 0xa2});
  m.request(ExitCode::Cpuid);
  m.guest.control.tsc_offset = 7;
  m.run();
  EXPECT_EQ(m.svm().guest_tsc(1000), 1507u);
}

}  // namespace
}  // namespace bunshin
