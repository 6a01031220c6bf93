// When VEX-encoded instructions are undefined or unavailable, and what the decoder makes of their fields (SDM vol. 2, 2.3
// and 2.4).

#include "tests/core/sse_runner.h"

namespace bunshin::sse_test {
namespace {

using Bytes = std::vector<u8>;

const Bytes andn{0xc4, 0xe2, 0x70, 0xf2, 0xc2};        // andn eax, ecx, edx
const Bytes vpaddd{0xc5, 0xf1, 0xfe, 0xc2};            // vpaddd xmm0, xmm1, xmm2
const Bytes vpaddd256{0xc5, 0xf5, 0xfe, 0xc2};         // vpaddd ymm0, ymm1, ymm2
const Bytes vmovups_load{0xc5, 0xf8, 0x10, 0x06};      // vmovups xmm0, [rsi]
const Bytes vmovdqa256_load{0xc5, 0xfd, 0x6f, 0x06};   // vmovdqa ymm0, [rsi]
const Bytes vmovdqu256_load{0xc5, 0xfe, 0x6f, 0x06};   // vmovdqu ymm0, [rsi]
const Bytes vmovdqu256_store{0xc5, 0xfe, 0x7f, 0x06};  // vmovdqu [rsi], ymm0
const Bytes vmovdqa256_store{0xc5, 0xfd, 0x7f, 0x06};  // vmovdqa [rsi], ymm0
const Bytes vzeroupper{0xc5, 0xf8, 0x77}, vzeroall{0xc5, 0xfc, 0x77};
const Bytes vinserti128{0xc4, 0xe3, 0x75, 0x38, 0xc2, 0x01};   // vinserti128 ymm0, ymm1, xmm2, 1
const Bytes vextracti128{0xc4, 0xe3, 0x7d, 0x39, 0xc1, 0x01};  // vextracti128 xmm1, ymm0, 1
const Bytes vaddps256{0xc5, 0xf4, 0x58, 0xc2};                 // vaddps ymm0, ymm1, ymm2
const Bytes paddd{0x66, 0x0f, 0xfe, 0xc2};                     // paddd xmm0, xmm2

class Vex : public testing::Test {
 protected:
  Vex() {
    runner.enable_avx();
    for (unsigned i = 0; i < 16; ++i) {
      for (unsigned k = 0; k < 4; ++k) {
        runner.state().xmm[i].set<u32>(k, 0x100 * i + k);
        runner.state().ymm_high[i].set<u32>(k, 0x100 * i + 0x10 + k);
      }
    }
    runner.state().gpr[RSI] = data_page;
  }
  bool run(const Bytes& code) { return runner.run(std::span(code)); }
  /// The vector raised; 0xff if the instruction completed.
  unsigned fault(const Bytes& code) {
    if (run(code)) return 0xff;
    return runner.core.cpu.leave == Leave::Fault ? static_cast<unsigned>(runner.core.cpu.fault.vector) : 0xfe;
  }
  unsigned prefixed(u8 prefix, const Bytes& code) {
    Bytes longer{prefix};
    longer.insert(longer.end(), code.begin(), code.end());
    return fault(longer);
  }
  void update() { runner.core.cpu.update_mode(); }
  u32 low(unsigned reg, unsigned i) { return runner.state().xmm[reg].get<u32>(i); }
  u32 high(unsigned reg, unsigned i) { return runner.state().ymm_high[reg].get<u32>(i); }
  /// Decodes in a mode that the runner does not execute in.
  Decoded decoded(const Bytes& code, unsigned bits, bool protected_mode = true) {
    CodeMode mode = runner.core.cpu.mode;
    mode.bits = static_cast<u8>(bits);
    mode.protected_mode = protected_mode;
    Bytes bytes = code;
    bytes.resize(15, 0x90);
    Decoded d;
    EXPECT_EQ(decode(opcode_table(), runner.core.profile, mode, bytes, 0, 0, d), DecodeStatus::Ok);
    return d;
  }

  static constexpr unsigned completes = 0xff, ud = 6, nm = 7, gp = 13;
  Runner runner;
};

TEST_F(Vex, PrefixesThatVexReplacesAreUndefined) {
  for (const u8 prefix : {0x66, 0xf2, 0xf3, 0xf0, 0x40, 0x48}) {
    EXPECT_EQ(prefixed(prefix, andn), ud) << std::hex << unsigned{prefix};
    EXPECT_EQ(prefixed(prefix, vpaddd), ud) << std::hex << unsigned{prefix};
  }
}

TEST_F(Vex, SegmentAndAddressSizePrefixesAreAllowed) {
  EXPECT_EQ(prefixed(0x2e, vmovups_load), completes);
  EXPECT_EQ(prefixed(0x67, vmovups_load), completes);
}

TEST_F(Vex, UnusedVvvvMustBeAllOnes) {
  EXPECT_EQ(fault(vmovups_load), completes);
  EXPECT_EQ(fault({0xc5, 0xf0, 0x10, 0x06}), ud);
  EXPECT_EQ(fault({0xc4, 0xe3, 0x7b, 0xf0, 0xc2, 0x07}), completes) << "rorx";
  EXPECT_EQ(fault({0xc4, 0xe3, 0x73, 0xf0, 0xc2, 0x07}), ud) << "rorx";
}

TEST_F(Vex, AVectorLengthTheInstructionLacksIsUndefined) {
  EXPECT_EQ(fault({0xc4, 0xe2, 0x74, 0xf2, 0xc2}), ud) << "andn with VEX.L";
  EXPECT_EQ(fault({0xc4, 0xe3, 0x71, 0x38, 0xc2, 0x01}), ud) << "vinserti128 without";
}

TEST_F(Vex, AWThatTheEncodingFixesMustMatch) { EXPECT_EQ(fault({0xc4, 0xe3, 0xf5, 0x38, 0xc2, 0x01}), ud); }

TEST_F(Vex, ReservedMapsAreUndefined) {
  for (const u8 map : {0, 4, 5, 31}) EXPECT_EQ(fault({0xc4, static_cast<u8>(0xe0 | map), 0x70, 0xf2, 0xc2}), ud);
}

TEST_F(Vex, VectorInstructionsNeedTheStateEnabled) {
  runner.state().xcr0 = 3;
  update();
  EXPECT_EQ(fault(vpaddd), ud);
  EXPECT_EQ(fault(vzeroupper), ud);
  EXPECT_EQ(fault(andn), completes) << "general registers need nothing";
  runner.state().xcr0 = 7;
  runner.state().cr4 &= ~cr4::OSXSAVE;
  update();
  EXPECT_EQ(fault(vpaddd), ud);
}

TEST_F(Vex, TaskSwitchedMakesVectorInstructionsUnavailable) {
  runner.state().cr0 |= cr0::TS;
  update();
  EXPECT_EQ(fault(vpaddd), nm);
  EXPECT_EQ(fault(andn), completes);
  runner.state().xcr0 = 3;
  update();
  EXPECT_EQ(fault(vpaddd), ud) << "before #NM";
}

TEST_F(Vex, NeitherEmNorOsfxsrCount) {
  runner.state().cr0 |= cr0::EM;
  runner.state().cr4 &= ~cr4::OSFXSR;
  update();
  EXPECT_EQ(fault(vpaddd), completes);
}

TEST_F(Vex, WithoutTheFeatureTheInstructionIsUndefined) {
  const auto without = [](Feature f, const Bytes& code) {
    CpuProfile p = resolved_profile();
    p.features.reset(static_cast<unsigned>(f));
    Runner bare(p);
    bare.enable_avx();
    return !bare.run(std::span(code)) && bare.core.raised(Vector::UD);
  };
  EXPECT_TRUE(without(Feature::Bmi1, andn));
  EXPECT_TRUE(without(Feature::Avx, vpaddd));
  EXPECT_TRUE(without(Feature::Avx, vpaddd256));
  EXPECT_TRUE(without(Feature::Avx2, vpaddd256));
  EXPECT_FALSE(without(Feature::Avx2, vpaddd));
  EXPECT_FALSE(without(Feature::Bmi2, andn));
}

TEST_F(Vex, OutsideLongModeAMemoryFormIsLesOrLds) {
  EXPECT_EQ(decoded({0xc5, 0x36, 0x00, 0x10}, 32).row->mnemonic, "lds");
  EXPECT_EQ(decoded({0xc4, 0x36, 0x00, 0x10}, 16).row->mnemonic, "les");
  EXPECT_EQ(decoded(vpaddd, 32).row->mnemonic, "vpaddd");
  EXPECT_EQ(decoded(vpaddd, 16).row->mnemonic, "vpaddd");
}

TEST_F(Vex, InRealAndVirtual8086ModeThereIsNoVex) {
  EXPECT_EQ(decoded(vpaddd, 16, false).row, nullptr);
  EXPECT_EQ(decoded(andn, 16, false).row, nullptr);
}

TEST_F(Vex, OutsideLongModeVvvvHasThreeBitsAndWNoEffectOnGeneralRegisters) {
  const Decoded d = decoded({0xc4, 0xe2, 0xb0, 0xf2, 0xc2}, 32);  // andn, W = 1, vvvv = 9
  ASSERT_NE(d.row, nullptr);
  EXPECT_EQ(d.operand_bytes, 4u);
  EXPECT_EQ(d.record.vvvv(), RCX * 8);
  EXPECT_EQ(decoded({0xc4, 0xe2, 0xb0, 0xf2, 0xc2}, 64).operand_bytes, 8u);
  EXPECT_EQ(decoded({0xc4, 0xe2, 0xb0, 0xf2, 0xc2}, 64).record.vvvv(), R9 * 8);
}

TEST_F(Vex, ALaneWiseOperationDoesBothLanes) {
  ASSERT_TRUE(run(vpaddd256));
  EXPECT_EQ(low(0, 3), 0x306u);
  EXPECT_EQ(high(0, 3), 0x326u);
}

TEST_F(Vex, A128BitResultClearsTheUpperHalf) {
  ASSERT_TRUE(run(vpaddd));
  EXPECT_EQ(low(0, 1), 0x302u);
  EXPECT_EQ(runner.state().ymm_high[0].bytes, Xmm{}.bytes);
}

TEST_F(Vex, LegacySseLeavesTheUpperHalfAlone) {
  ASSERT_TRUE(run(paddd));
  EXPECT_EQ(high(0, 2), 0x12u);
}

TEST_F(Vex, VzeroupperAndVzeroallClearWhatTheySay) {
  ASSERT_TRUE(run(vzeroupper));
  EXPECT_EQ(high(15, 1), 0u);
  EXPECT_EQ(low(15, 1), 0xf01u);
  ASSERT_TRUE(run(vzeroall));
  EXPECT_EQ(low(15, 1), 0u);
}

TEST_F(Vex, LanesAreInsertedAndExtracted) {
  ASSERT_TRUE(run(vinserti128));
  EXPECT_EQ(low(0, 0), 0x100u);
  EXPECT_EQ(high(0, 0), 0x200u);
  ASSERT_TRUE(run(vextracti128));
  EXPECT_EQ(low(1, 0), 0x200u);
  EXPECT_EQ(high(1, 0), 0u);
}

TEST_F(Vex, LoadsAndStoresCarryBothLanes) {
  ASSERT_TRUE(run(vmovdqu256_store));
  EXPECT_EQ(runner.get<u32>(data_page + 0x1c), 0x13u);
  runner.state().gpr[RSI] = data_page + 4;
  ASSERT_TRUE(run(vmovdqu256_load));
  EXPECT_EQ(low(0, 3), 0x10u);
}

TEST_F(Vex, OnlyTheAlignedFormsNeedAlignment) {
  runner.state().gpr[RSI] = data_page + 16;
  EXPECT_EQ(fault(vmovdqa256_load), gp);
  EXPECT_EQ(fault(vmovdqa256_store), gp);
  EXPECT_EQ(fault(vmovdqu256_load), completes);
  runner.state().gpr[RSI] = data_page + 32;
  EXPECT_EQ(fault(vmovdqa256_load), completes);
  EXPECT_EQ(fault(vmovdqa256_store), completes);
}

TEST_F(Vex, AnUnmaskedExceptionInTheUpperLaneLeavesTheDestination) {
  for (unsigned k = 0; k < 4; ++k) {
    for (const unsigned i : {1u, 2u}) {
      runner.state().xmm[i].set<u32>(k, 0);
      runner.state().ymm_high[i].set<u32>(k, 0);
    }
  }
  runner.state().ymm_high[1].set<u32>(3, 0x7f800001);  // a signaling NaN
  runner.state().mxcsr = mxcsr::initial & ~u32{mxcsr::IE << mxcsr::masks_shift};
  EXPECT_EQ(fault(vaddps256), 19u);
  EXPECT_EQ(low(0, 3), 3u);
  EXPECT_EQ(high(0, 3), 0x13u);
}

/// Of the four bits of VEX.vvvv 32-bit code uses three, but all four say that there is no operand.
TEST(VexIn32BitCode, TheFourthBitOfAnUnusedVvvvMustBeSet) {
  const CpuProfile profile = resolved_profile();
  CodeMode mode;
  mode.bits = 32;
  mode.stack32 = mode.flat = mode.protected_mode = mode.sse = mode.avx = true;
  const auto handler = [&](std::initializer_list<u8> bytes) {
    std::vector<u8> code(bytes);
    code.resize(15, 0x90);
    Decoded d;
    EXPECT_EQ(decode(opcode_table(), profile, mode, code, 0, 0, d), DecodeStatus::Ok);
    return d.record.run;
  };
  const Handler undefined = handler({0x0f, 0x3a, 0xff});
  EXPECT_NE(handler({0xc4, 0xe3, 0x7b, 0xf0, 0xc1, 0x01}), undefined);  // rorx eax, ecx, 1
  EXPECT_EQ(handler({0xc4, 0xe3, 0x3b, 0xf0, 0xc1, 0x01}), undefined);
}

TEST(ControlRegisters, ThoseThatDoNotExistAreUndefinedAtEveryPrivilege) {
  const CpuProfile profile = resolved_profile();
  CodeMode mode;
  mode.bits = 64;
  mode.flat = mode.stack32 = mode.protected_mode = true;
  mode.cpl = 3;
  const auto handler = [&](std::initializer_list<u8> bytes) {
    std::vector<u8> code(bytes);
    code.resize(15, 0x90);
    Decoded d;
    EXPECT_EQ(decode(opcode_table(), profile, mode, code, 0, 0, d), DecodeStatus::Ok);
    return d.record.run;
  };
  const Handler undefined = handler({0x0f, 0x3a, 0xff});
  EXPECT_NE(handler({0x0f, 0x20, 0xc0}), undefined) << "CR0 is privileged";
  EXPECT_EQ(handler({0x0f, 0x20, 0xc8}), undefined) << "CR1";
  EXPECT_EQ(handler({0x44, 0x0f, 0x23, 0xc0}), undefined) << "DR8";
}

}  // namespace
}  // namespace bunshin::sse_test
