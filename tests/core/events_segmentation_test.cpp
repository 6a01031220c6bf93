// Loading segment registers: every rule of SDM vol. 3, 5.6 to 5.8, and vol. 2, MOV, LLDT, LTR.

#include "events_fixture.h"

namespace bunshin {
namespace {

TEST(Access, AcrossTheCanonicalBoundaryIsAFaultBeforePaging) {
  EventMachine m;
  m.enter_long(0);
  u64 value = 0;
  m.expect_fault(m.cpu.load(Seg::DS, 0x7fff'ffff'fffc, value), Vector::GP, 0);
  m.expect_fault(m.cpu.load(Seg::SS, 0x7fff'ffff'fffc, value), Vector::SS, 0);
}

TEST(Access, WrapsAtTheEndOfAFourGibibyteSegment) {
  EventMachine m;
  m.enter_protected();
  u64 linear = 0;
  EXPECT_TRUE(m.cpu.to_linear(Seg::DS, 0xffff'fffe, 4, AccessKind::Read, linear));
  m.cpu.state.segment(Seg::DS).limit = 0xffff'fffd;
  m.expect_fault(m.cpu.to_linear(Seg::DS, 0xffff'fffb, 4, AccessKind::Read, linear), Vector::GP, 0);
}

TEST(Access, AtTheEndOfAFourGibibyteSegmentFaultsOnAmd) {
  EventMachine m(resolved_profile("AuthenticAMD"));
  m.enter_protected();
  u64 linear = 0;
  m.expect_fault(m.cpu.to_linear(Seg::DS, 0xffff'fffe, 4, AccessKind::Read, linear), Vector::GP, 0);
}

TEST(SegmentLoad, RealModeShiftsTheSelectorAndKeepsTheLimit) {
  EventMachine m;
  m.cpu.state.segment(Seg::DS).limit = 0xffff'ffff;
  ASSERT_TRUE(load_segment(m.cpu, Seg::DS, 0x1234));
  EXPECT_EQ(m.cpu.state.segment(Seg::DS).base, 0x12340u);
  EXPECT_EQ(m.cpu.state.segment(Seg::DS).limit, 0xffff'ffffu);
}

TEST(SegmentLoad, SetsTheAccessedBitInMemory) {
  EventMachine m;
  m.enter_protected();
  m.set_descriptor(m.spare, make_descriptor(0x12345678, 0x9abcd, kind::data16 & ~kind::not_accessed));
  ASSERT_TRUE(load_segment(m.cpu, Seg::ES, m.spare));
  EXPECT_EQ(m.descriptor(m.spare) >> 40 & 0x1f, 0x13u);
  EXPECT_EQ(m.cpu.state.segment(Seg::ES).base, 0x12345678u);
  EXPECT_EQ(m.cpu.state.segment(Seg::ES).limit, 0x9abcdu);
}

TEST(SegmentLoad, ExpandsAGranularLimit) {
  EventMachine m;
  m.enter_protected();
  m.set_descriptor(m.spare, make_descriptor(0, 0x12, kind::data32));
  ASSERT_TRUE(load_segment(m.cpu, Seg::ES, m.spare));
  EXPECT_EQ(m.cpu.state.segment(Seg::ES).limit, 0x12fffu);
}

TEST(SegmentLoad, NullIsADataSegmentButNoStack) {
  EventMachine m;
  m.enter_protected();
  ASSERT_TRUE(load_segment(m.cpu, Seg::FS, 3));
  EXPECT_TRUE(m.cpu.state.segment(Seg::FS).is_null());
  m.expect_fault(load_segment(m.cpu, Seg::SS, 0), Vector::GP, 0);
}

TEST(SegmentLoad, NullStackIsAllowedIn64BitSupervisorCodeOnly) {
  EventMachine m;
  m.enter_long(0);
  EXPECT_TRUE(load_segment(m.cpu, Seg::SS, 0));
  EventMachine user;
  user.enter_long(3);
  user.expect_fault(load_segment(user.cpu, Seg::SS, 3), Vector::GP, 0);
}

TEST(SegmentLoad, OutsideTheTableNamesTheSelector) {
  EventMachine m;
  m.enter_protected();
  m.expect_fault(load_segment(m.cpu, Seg::DS, 0x103), Vector::GP, 0x100);
  m.expect_fault(load_segment(m.cpu, Seg::DS, 0x0c), Vector::GP, 0x0c);  // no LDT
}

TEST(SegmentLoad, PrivilegeIsTheWorseOfCplAndRpl) {
  EventMachine m;
  m.enter_protected(3);
  m.expect_fault(load_segment(m.cpu, Seg::DS, m.kernel_data), Vector::GP, m.kernel_data);
  m.enter_protected(0);
  m.expect_fault(load_segment(m.cpu, Seg::DS, m.kernel_data | 3), Vector::GP, m.kernel_data);
  EXPECT_TRUE(load_segment(m.cpu, Seg::DS, m.user_data));
}

TEST(SegmentLoad, ConformingCodeIsReadableFromEveryLevel) {
  EventMachine m;
  m.enter_protected(3);
  m.set_descriptor(m.spare, make_descriptor(0, 0xfffff, kind::code32 | kind::conforming));
  EXPECT_TRUE(load_segment(m.cpu, Seg::DS, m.spare | 3));
}

TEST(SegmentLoad, ExecuteOnlyCodeAndSystemSegmentsAreNoData) {
  EventMachine m;
  m.enter_protected();
  m.set_descriptor(m.spare, make_descriptor(0, 0xfffff, kind::code32 & ~2u));
  m.expect_fault(load_segment(m.cpu, Seg::DS, m.spare), Vector::GP, m.spare);
  m.expect_fault(load_segment(m.cpu, Seg::DS, m.task), Vector::GP, m.task);
}

TEST(SegmentLoad, NotPresentIsNpOrForTheStackSs) {
  EventMachine m;
  m.enter_protected();
  m.set_descriptor(m.spare, make_descriptor(0, 0xfffff, kind::data32 & ~0x80u));
  m.expect_fault(load_segment(m.cpu, Seg::DS, m.spare), Vector::NP, m.spare);
  m.expect_fault(load_segment(m.cpu, Seg::SS, m.spare), Vector::SS, m.spare);
}

TEST(SegmentLoad, StackMustHaveTheCurrentLevelAndBeWritable) {
  EventMachine m;
  m.enter_protected();
  m.expect_fault(load_segment(m.cpu, Seg::SS, m.user_data), Vector::GP, m.user_data & 0xfffc);
  m.expect_fault(load_segment(m.cpu, Seg::SS, m.kernel_data | 1), Vector::GP, m.kernel_data);
  m.expect_fault(load_segment(m.cpu, Seg::SS, m.kernel_code), Vector::GP, m.kernel_code);
}

TEST(SegmentLoad, AFailedLoadChangesNothing) {
  EventMachine m;
  m.enter_protected();
  const u16 before = m.selector(Seg::DS);
  m.expect_fault(load_segment(m.cpu, Seg::DS, 0xf8), Vector::GP, 0xf8);
  EXPECT_EQ(m.selector(Seg::DS), before);
}

TEST(SegmentLoad, MovToSsShadowsInterruptsAndDebugTraps) {
  EventMachine m;
  m.enter_protected();
  Record r = record_of(4);
  r.reg = static_cast<u8>(Seg::SS);
  r.rm = RAX * 8;
  m.set(RAX, m.kernel_data);
  ASSERT_TRUE(semantics::mov_to_segment(m.cpu, r));
  EXPECT_TRUE(m.cpu.state.interrupt_shadow);
  EXPECT_TRUE(m.cpu.state.debug_shadow);
}

TEST(SegmentLoad, MovToCsIsUndefined) {
  EventMachine m;
  m.enter_protected();
  Record r = record_of(4);
  r.reg = static_cast<u8>(Seg::CS);
  m.expect_fault(semantics::mov_to_segment(m.cpu, r), Vector::UD, 0);
}

TEST(SegmentLoad, PushOf32BitsWritesOnlyTheSelector) {
  EventMachine m;
  m.enter_protected();
  m.poke32(m.kernel_stack - 4, 0xdeadbeef);
  ASSERT_TRUE(semantics::push_segment(m.cpu, record_of(4), Seg::DS));
  EXPECT_EQ(m.get(RSP), m.kernel_stack - 4);
  EXPECT_EQ(m.stacked(0), 0xdead0000u | m.kernel_data);
}

TEST(TaskRegister, LtrMarksTheTssBusyAndRefusesABusyOne) {
  EventMachine m;
  m.enter_protected();
  ASSERT_TRUE(load_tr(m.cpu, m.other_task));
  EXPECT_EQ(m.descriptor(m.other_task) >> 40 & 0xf, 0xbu);
  EXPECT_EQ(m.cpu.state.tr.base, m.other_tss);
  m.expect_fault(load_tr(m.cpu, m.other_task), Vector::GP, m.other_task);
}

TEST(TaskRegister, LongModeDescriptorsHave64BitBases) {
  EventMachine m;
  m.enter_long();
  m.poke(m.gdt + m.other_task + 8, 0xffff8000);
  ASSERT_TRUE(load_tr(m.cpu, m.other_task));
  EXPECT_EQ(m.cpu.state.tr.base, 0xffff8000'00000000 + m.other_tss);
}

TEST(TaskRegister, LongModeRefusesTypeBitsInTheUpperHalf) {
  EventMachine m;
  m.enter_long();
  m.poke(m.gdt + m.other_task + 8, u64{1} << 40);
  m.expect_fault(load_tr(m.cpu, m.other_task), Vector::GP, m.other_task);
}

TEST(LocalTable, LldtTakesOnlyPresentLdtsOfTheGdt) {
  EventMachine m;
  m.enter_protected();
  m.set_descriptor(m.local_table, make_descriptor(m.ldt, 0x7f, kind::ldt));
  ASSERT_TRUE(load_ldtr(m.cpu, m.local_table));
  m.poke(m.ldt + 8, make_descriptor(0x77000, 0xfff, kind::data32));
  ASSERT_TRUE(load_segment(m.cpu, Seg::DS, 0x0c));
  EXPECT_EQ(m.cpu.state.segment(Seg::DS).base, 0x77000u);
  m.expect_fault(load_ldtr(m.cpu, 0x0c), Vector::GP, 0x0c);
  m.expect_fault(load_ldtr(m.cpu, m.kernel_data), Vector::GP, m.kernel_data);
  ASSERT_TRUE(load_ldtr(m.cpu, 0));
  m.expect_fault(load_segment(m.cpu, Seg::DS, 0x0c), Vector::GP, 0x0c);
}

}  // namespace
}  // namespace bunshin
