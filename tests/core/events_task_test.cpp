// Hardware task switches (SDM vol. 3, ch. 7).

#include "core/events/debug.h"
#include "core/events/task_switch.h"
#include "events_fixture.h"

namespace bunshin {
namespace {

struct TwoTasks : EventMachine {
  TwoTasks() {
    enter_protected();
    const u64 t = other_tss;
    poke32(t + 0x20, 0x6000);
    poke32(t + 0x24, 0x202);
    for (u32 i = 0; i < 8; ++i) poke32(t + 0x28 + 4 * i, 0x100 + i);
    poke32(t + 0x28 + 4 * RSP, 0xa000);
    for (const u32 offset : {0x48u, 0x50u, 0x54u, 0x58u, 0x5cu}) poke32(t + offset, kernel_data);
    poke32(t + 0x4c, kernel_code);
    cpu.state.rip = 0x1007;
  }
  unsigned type_of(u16 selector) const { return descriptor(selector) >> 40 & 0xf; }
};

TEST(TaskSwitching, JumpMovesTheBusyBitAndSavesTheOldTask) {
  TwoTasks m;
  m.set(RBX, 0xbbbb);
  ASSERT_TRUE(far_jump(m.cpu, m.other_task, 0));
  EXPECT_EQ(m.type_of(m.task), 9u);
  EXPECT_EQ(m.type_of(m.other_task), 0xbu);
  EXPECT_EQ(m.peek(m.tss + 0x20), 0x1007u);
  EXPECT_EQ(m.peek(m.tss + 0x28 + 4 * RBX), 0xbbbbu);
  EXPECT_EQ(m.cpu.state.rip, 0x6000u);
  EXPECT_EQ(m.get(RDI), 0x107u);
  EXPECT_EQ(m.get(RSP), 0xa000u);
  EXPECT_EQ(m.cpu.state.flags.value(), 0x202u);
  EXPECT_EQ(m.cpu.state.tr.selector, m.other_task);
  EXPECT_NE(m.cpu.state.cr0 & cr0::TS, 0u);
}

TEST(TaskSwitching, CallNestsAndIretReturns) {
  TwoTasks m;
  ASSERT_TRUE(far_call(m.cpu, m.other_task, 0, 4));
  EXPECT_EQ(m.peek<u16>(m.other_tss), m.task);
  EXPECT_NE(m.cpu.state.flags.system & rflags::NT, 0u);
  EXPECT_EQ(m.type_of(m.task), 0xbu);
  ASSERT_TRUE(interrupt_return(m.cpu, 4));
  EXPECT_EQ(m.cpu.state.rip, 0x1007u);
  EXPECT_EQ(m.cpu.state.tr.selector, m.task);
  EXPECT_EQ(m.type_of(m.other_task), 9u);
  EXPECT_EQ(m.peek(m.other_tss + 0x24) & rflags::NT, 0u);
}

TEST(TaskSwitching, BusyOrShortOrAbsentTasksAreRefused) {
  TwoTasks m;
  m.expect_fault(far_jump(m.cpu, m.task, 0), Vector::GP, m.task);
  m.set_descriptor(m.other_task, make_descriptor(m.other_tss, 0x66, kind::tss32));
  m.expect_fault(far_jump(m.cpu, m.other_task, 0), Vector::TS, m.other_task);
  m.set_descriptor(m.other_task, make_descriptor(m.other_tss, 0x67, kind::tss32 & ~0x80u));
  m.expect_fault(far_jump(m.cpu, m.other_task, 0), Vector::NP, m.other_task);
  EXPECT_EQ(m.cpu.state.rip, 0x1007u);
}

TEST(TaskSwitching, ATaskGatePushesTheErrorCodeInTheNewTask) {
  TwoTasks m;
  m.set_gate(8, make_gate(m.other_task, 0, 5, 0));
  deliver_exception(m.cpu, Fault::with_code(Vector::GP, 0));
  EXPECT_EQ(m.cpu.state.rip, 0x6000u);
  EXPECT_EQ(m.get(RSP), 0xa000u - 4);
  EXPECT_EQ(m.stacked(0), 0u);
  EXPECT_EQ(m.peek<u16>(m.other_tss), m.task);
}

TEST(TaskSwitching, AFaultInTheNewTaskIsDeliveredThere) {
  TwoTasks m;
  m.set_gate(10, make_gate(m.kernel_code, m.handler + 10, 0xe, 0));
  m.poke32(m.other_tss + 0x54, m.task);  // DS
  ASSERT_TRUE(far_jump(m.cpu, m.other_task, 0));
  EXPECT_EQ(m.cpu.state.rip, m.handler + 10);
  EXPECT_EQ(m.cpu.state.tr.selector, m.other_task);
  EXPECT_EQ(m.stacked(0), m.task);
  EXPECT_EQ(m.stacked(1), 0x6000u);
}

TEST(TaskSwitching, TheTrapBitIsADebugTrap) {
  TwoTasks m;
  m.poke16(m.other_tss + 0x64, 1);
  ASSERT_TRUE(far_jump(m.cpu, m.other_task, 0));
  EXPECT_EQ(m.cpu.state.pending_debug, dr6::BT);
}

TEST(TaskSwitching, SixteenBitTasksLeaveFsAndGsNull) {
  TwoTasks m;
  m.set_descriptor(m.other_task, make_descriptor(m.other_tss, 0x2b, kind::tss16));
  const u64 t = m.other_tss;
  for (u64 i = 0; i < 0x2c; i += 4) m.poke32(t + i, 0);
  m.poke16(t + 0x0e, 0x6000);
  m.poke16(t + 0x10, 2);
  m.poke16(t + 0x12, 0xaaaa);
  m.poke16(t + 0x22, m.kernel_data);
  m.poke16(t + 0x24, m.kernel_code);
  m.poke16(t + 0x26, m.kernel_data);
  m.poke16(t + 0x28, m.kernel_data);
  ASSERT_TRUE(far_jump(m.cpu, m.other_task, 0));
  EXPECT_EQ(m.cpu.state.rip, 0x6000u);
  EXPECT_EQ(m.get(RAX), 0xffff'aaaau);
  EXPECT_TRUE(m.cpu.state.segment(Seg::FS).is_null());
}

TEST(TaskSwitching, DoesNotExistInLongMode) {
  EventMachine m;
  m.enter_long();
  m.expect_fault(far_jump(m.cpu, m.other_task, 0), Vector::GP, m.other_task);
}

}  // namespace
}  // namespace bunshin
