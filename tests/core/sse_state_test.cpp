// LDMXCSR, FXSAVE, XSAVE and their kin: images, checks, and MMX's effect on the x87 state.

#include "core/sse/xsave.h"
#include "core/x87/x87.h"
#include "sse_runner.h"

namespace bunshin::sse_test {
namespace {

constexpr std::initializer_list<u8> ldmxcsr{0x0f, 0xae, 0x16}, stmxcsr{0x0f, 0xae, 0x1e}, fxsave{0x0f, 0xae, 0x06},
    fxsave64{0x48, 0x0f, 0xae, 0x06}, fxrstor{0x0f, 0xae, 0x0e}, fxrstor64{0x48, 0x0f, 0xae, 0x0e},
    xsave{0x0f, 0xae, 0x26}, xrstor{0x0f, 0xae, 0x2e}, xsaveopt{0x0f, 0xae, 0x36}, xsavec{0x0f, 0xc7, 0x26},
    xgetbv{0x0f, 0x01, 0xd0}, xsetbv{0x0f, 0x01, 0xd1}, clflush{0x0f, 0xae, 0x3e}, prefetch{0x0f, 0x18, 0x0e},
    movd_mm1_edx{0x0f, 0x6e, 0xca}, pmovmskb_ecx_mm1{0x0f, 0xd7, 0xc9}, emms{0x0f, 0x77}, divps{0x0f, 0x5e, 0xca};

class SseState : public testing::Test {
 protected:
  SseState() {
    CpuState& s = runner.state();
    s.gpr[RSI] = data_page;
    for (unsigned i = 0; i < 16; ++i) s.xmm[i].set(0, u64{0x1111111111111111} * i);
    for (unsigned i = 0; i < 8; ++i) s.x87.registers[i] = {u64{0x100} + i, static_cast<u16>(0x4000 + i)};
    s.x87.top = 5;
    s.x87.empty = 0x1f;
    s.x87.opcode = 0x123;
    s.x87.ip = 0x1122334455667788;
    s.x87.ip_selector = 0x33;
    s.x87.operand = 0x99aabbccddeeff00;
    s.x87.operand_selector = 0x2b;
  }
  void request(u64 components) {
    runner.state().gpr[RAX] = components & 0xffffffff;
    runner.state().gpr[RDX] = components >> 32;
  }
  template <class T>
  T at(u64 offset) {
    return runner.get<T>(data_page + offset);
  }
  template <class T>
  void put(u64 offset, T v) {
    runner.put<T>(data_page + offset, v);
  }
  bool raised(Vector v) { return runner.core.raised(v); }

  Runner runner;
};

TEST_F(SseState, StmxcsrStoresTheFlagsOfEarlierInstructions) {
  runner.state().xmm[2] = Xmm();
  ASSERT_TRUE(runner.run(divps));
  ASSERT_TRUE(runner.run(stmxcsr));
  EXPECT_EQ(at<u32>(0), mxcsr::initial | mxcsr::IE | mxcsr::ZE) << "0/0 and x/0";
}

TEST_F(SseState, LdmxcsrLoadsEveryBit) {
  put<u32>(0, 0xffff);
  ASSERT_TRUE(runner.run(ldmxcsr));
  EXPECT_EQ(runner.state().mxcsr, 0xffffu);
}

TEST_F(SseState, LdmxcsrRefusesReservedBits) {
  put<u32>(0, 0x10000);
  EXPECT_FALSE(runner.run(ldmxcsr));
  EXPECT_TRUE(raised(Vector::GP));
  EXPECT_EQ(runner.state().mxcsr, mxcsr::initial);
}

TEST_F(SseState, FxsaveImage) {
  ASSERT_TRUE(runner.run(fxsave));
  EXPECT_EQ(at<u16>(0), 0x37f);
  EXPECT_EQ(at<u16>(2), 5 << 11);
  EXPECT_EQ(at<u8>(4), 0xe0);
  EXPECT_EQ(at<u16>(6), 0x123);
  EXPECT_EQ(at<u32>(8), 0x55667788u);
  EXPECT_EQ(at<u16>(12), 0x33);
  EXPECT_EQ(at<u32>(16), 0xddeeff00u);
  EXPECT_EQ(at<u16>(20), 0x2b);
  EXPECT_EQ(at<u32>(24), mxcsr::initial);
  EXPECT_EQ(at<u32>(28), 0xffffu);
  EXPECT_EQ(at<u64>(32), 0x105u) << "ST(0) is physical register 5";
  EXPECT_EQ(at<u16>(40), 0x4005u);
  EXPECT_EQ(at<u64>(160 + 15 * 16), ~u64{0});
}

TEST_F(SseState, FxsaveWithRexWHasWidePointers) {
  ASSERT_TRUE(runner.run(fxsave64));
  EXPECT_EQ(at<u64>(8), 0x1122334455667788u);
  EXPECT_EQ(at<u64>(16), 0x99aabbccddeeff00u);
}

TEST_F(SseState, FxsaveOutside64BitModeHasEightXmmRegisters) {
  put<u64>(160 + 8 * 16, 0x5a5a);
  runner.core.cpu.mode.bits = 32;
  const u64 page = runner.state().gpr[RSI];
  for (Segment& s : runner.state().seg) s = {0x10, 0xc093, 0xffffffff, 0};
  ASSERT_TRUE(runner.run(fxsave));
  runner.state().gpr[RSI] = page;
  EXPECT_EQ(at<u64>(160 + 7 * 16), 0x7777777777777777u);
  EXPECT_EQ(at<u64>(160 + 8 * 16), 0x5a5au);
}

TEST_F(SseState, FxrstorUndoesFxsave) {
  const CpuState saved = runner.state();
  ASSERT_TRUE(runner.run(fxsave64));
  runner.state().x87 = X87State();
  runner.state().xmm = {};
  runner.state().mxcsr = 0x1fbf;
  ASSERT_TRUE(runner.run(fxrstor64));
  const CpuState& s = runner.state();
  EXPECT_EQ(s.mxcsr, saved.mxcsr);
  EXPECT_EQ(s.x87.top, saved.x87.top);
  EXPECT_EQ(s.x87.empty, saved.x87.empty);
  EXPECT_EQ(s.x87.ip, saved.x87.ip);
  for (unsigned i = 0; i < 8; ++i) EXPECT_EQ(s.x87.registers[i].mantissa, saved.x87.registers[i].mantissa);
  for (unsigned i = 0; i < 16; ++i) EXPECT_EQ(s.xmm[i].bytes, saved.xmm[i].bytes);
}

TEST_F(SseState, FxrstorRefusesReservedMxcsrBits) {
  ASSERT_TRUE(runner.run(fxsave));
  put<u32>(24, 0x80001f80);
  EXPECT_FALSE(runner.run(fxrstor));
  EXPECT_TRUE(raised(Vector::GP));
}

TEST_F(SseState, FxsaveNeedsSixteenByteAlignment) {
  runner.state().gpr[RSI] = data_page + 8;
  EXPECT_FALSE(runner.run(fxsave));
  EXPECT_TRUE(raised(Vector::GP));
}

TEST_F(SseState, XsaveNeedsSixtyFourByteAlignment) {
  runner.state().gpr[RSI] = data_page + 16;
  EXPECT_FALSE(runner.run(xsave));
  EXPECT_TRUE(raised(Vector::GP));
}

TEST_F(SseState, XsaveNeedsOsxsave) {
  runner.state().cr4 &= ~cr4::OSXSAVE;
  EXPECT_FALSE(runner.run(xsave));
  EXPECT_TRUE(raised(Vector::UD));
}

TEST_F(SseState, XsaveSavesWhatIsRequestedOnly) {
  put<u64>(512, 0x200);
  put<u64>(160, 0x5a5a);
  request(1);
  ASSERT_TRUE(runner.run(xsave));
  EXPECT_EQ(at<u64>(512), 0x201u) << "bits that were not requested are kept";
  EXPECT_EQ(at<u64>(160), 0x5a5au);
  EXPECT_EQ(at<u16>(0), 0x37f);
}

TEST_F(SseState, XsavecWritesTheCompactedHeader) {
  request(3);
  ASSERT_TRUE(runner.run(xsavec));
  EXPECT_EQ(at<u64>(512), 3u);
  EXPECT_EQ(at<u64>(520), u64{1} << 63 | 3);
}

TEST_F(SseState, XsaveAndXrstorCarryPkruInBothFormats) {
  runner.state().xcr0 = 0x203;
  for (const auto& save : {xsave, xsavec}) {
    runner.state().pkru = 0xc;
    request(0x203);
    ASSERT_TRUE(runner.run(save));
    EXPECT_EQ(at<u64>(512), 0x203u);
    runner.state().pkru = 1;
    ASSERT_TRUE(runner.run(xrstor));
    EXPECT_EQ(runner.state().pkru, 0xcu);
    put<u64>(512, u64{0});
    put<u64>(520, u64{0});
  }
}

TEST_F(SseState, XsaveoptLeavesOutWhatIsInitial) {
  runner.state().xcr0 = 0x203;
  runner.state().pkru = 0;
  put<u64>(512, 0x200);
  request(0x203);
  ASSERT_TRUE(runner.run(xsaveopt));
  EXPECT_EQ(at<u64>(512), 3u);
}

TEST_F(SseState, XrstorInitialisesWhatTheImageLacks) {
  put<u64>(512, u64{0});
  put<u64>(520, u64{0});
  put<u32>(24, 0x1fa0);
  request(3);
  ASSERT_TRUE(runner.run(xrstor));
  const CpuState& s = runner.state();
  EXPECT_EQ(s.xmm[15].get<u64>(0), 0u);
  EXPECT_EQ(s.x87.empty, 0xff);
  EXPECT_EQ(s.mxcsr, 0x1fa0u) << "the standard format takes MXCSR from memory all the same";
}

TEST_F(SseState, XrstorRefusesBadHeaders) {
  const auto refuse = [&](u64 xstate_bv, u64 xcomp_bv, u64 reserved) {
    put<u64>(512, xstate_bv);
    put<u64>(520, xcomp_bv);
    put<u64>(528, reserved);
    request(3);
    return !runner.run(xrstor) && raised(Vector::GP);
  };
  constexpr u64 compacted = u64{1} << 63;
  put<u32>(24, mxcsr::initial);
  EXPECT_TRUE(refuse(4, 0, 0)) << "component not in XCR0";
  EXPECT_TRUE(refuse(3, 3, 0)) << "XCOMP_BV in the standard format";
  EXPECT_TRUE(refuse(3, 0, 1)) << "reserved bytes";
  EXPECT_TRUE(refuse(3, compacted | 1, 0)) << "component that the image does not have";
  EXPECT_TRUE(refuse(3, compacted | 7, 0)) << "compacted component not in XCR0";
  EXPECT_FALSE(refuse(3, compacted | 3, 0));
}

TEST_F(SseState, XrstorChecksMxcsr) {
  put<u64>(512, u64{0});
  put<u64>(520, u64{0});
  put<u32>(24, 0x10000);
  request(2);
  EXPECT_FALSE(runner.run(xrstor));
  EXPECT_TRUE(raised(Vector::GP));
}

TEST_F(SseState, XsetbvChangesXcr0AndXgetbvReadsIt) {
  runner.state().gpr[RCX] = 0;
  request(0x201);
  ASSERT_TRUE(runner.run(xsetbv));
  EXPECT_EQ(runner.state().xcr0, 0x201u);
  request(0);
  ASSERT_TRUE(runner.run(xgetbv));
  EXPECT_EQ(runner.state().gpr[RAX], 0x201u);
}

TEST_F(SseState, XsetbvRefusesImpossibleValues) {
  for (const u64 value : {u64{0}, u64{2}, u64{1} << 62 | 3}) {
    runner.state().gpr[RCX] = 0;
    request(value);
    EXPECT_FALSE(runner.run(xsetbv)) << value;
    EXPECT_TRUE(raised(Vector::GP));
  }
}

TEST_F(SseState, XsetbvIsPrivileged) {
  runner.state().cpl = 3;
  runner.state().gpr[RCX] = 0;
  request(3);
  EXPECT_FALSE(runner.run(xsetbv));
  EXPECT_TRUE(raised(Vector::GP));
}

TEST_F(SseState, ClflushFaultsAsARead) {
  EXPECT_TRUE(runner.run(clflush));
  runner.state().gpr[RSI] = unmapped_page;
  EXPECT_FALSE(runner.run(clflush));
  EXPECT_TRUE(raised(Vector::PF));
  EXPECT_EQ(runner.core.cpu.fault.error_code, 0u);
}

TEST_F(SseState, PrefetchDoesNotFault) {
  runner.state().gpr[RSI] = unmapped_page;
  EXPECT_TRUE(runner.run(prefetch));
}

TEST_F(SseState, WritingMmxResetsTopTagsAndTheExponent) {
  runner.state().gpr[RDX] = 0x12345678;
  ASSERT_TRUE(runner.run(movd_mm1_edx));
  const X87State& x = runner.state().x87;
  EXPECT_EQ(x.top, 0);
  EXPECT_EQ(x.empty, 0);
  EXPECT_EQ(x.registers[1].mantissa, 0x12345678u);
  EXPECT_EQ(x.registers[1].sign_exponent, 0xffff);
  EXPECT_EQ(x.registers[2].sign_exponent, 0x4002);
}

TEST_F(SseState, ReadingMmxResetsTopAndTags) {
  ASSERT_TRUE(runner.run(pmovmskb_ecx_mm1));
  EXPECT_EQ(runner.state().x87.top, 0);
  EXPECT_EQ(runner.state().x87.empty, 0);
}

TEST_F(SseState, EmmsEmptiesTheStack) {
  ASSERT_TRUE(runner.run(emms));
  EXPECT_EQ(runner.state().x87.empty, 0xff);
}

TEST_F(SseState, MmxDeliversPendingX87Exceptions) {
  runner.state().cr0 |= cr0::NE;
  x87::set_control_word(runner.state().x87, 0x37e);
  x87::set_status_word(runner.state().x87, x87::IE);
  EXPECT_FALSE(runner.run(movd_mm1_edx));
  EXPECT_TRUE(raised(Vector::MF));
}

TEST_F(SseState, FxsaveAcrossAReadOnlyPageWritesNothing) {
  runner.core.map(1, TestCore::frame(1), 5);
  runner.state().cr0 |= cr0::WP;
  runner.core.cpu.update_mode();
  runner.state().gpr[RSI] = data_page + page_size - 16;
  put<u64>(page_size - 16, 0x5555);
  EXPECT_FALSE(runner.run(fxsave));
  EXPECT_TRUE(raised(Vector::PF));
  EXPECT_EQ(at<u64>(page_size - 16), 0x5555u);
}

TEST_F(SseState, XrstorOfTheStandardFormIgnoresTheLaterReservedBytesOfTheHeader) {
  request(3);
  ASSERT_TRUE(runner.run(xsave));
  put<u64>(512 + 24, 1);
  EXPECT_TRUE(runner.run(xrstor));
  put<u64>(512 + 16, 1);
  EXPECT_FALSE(runner.run(xrstor));
  EXPECT_TRUE(raised(Vector::GP));
}

}  // namespace
}  // namespace bunshin::sse_test
