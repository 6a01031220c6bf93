// The processor profiles of configs/cpu: complete, possible, and consistent in what CPUID says of them.

#include <filesystem>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/system/cpuid.h"
#include "core/system/msr.h"
#include "mmu/memory/hierarchy.h"
#include "sim/config/machine_config.h"
#include "tests/core/engine_fixture.h"

namespace bunshin {
namespace {

const std::string configs = BUNSHIN_CONFIGS;

constexpr const char* names[] = {"p4-northwood", "p4-672",  "merom",   "penryn",    "nehalem", "westmere",
                                 "sandy-bridge", "haswell", "skylake", "barcelona", "zen2",    "zen3"};

MachineConfig load(const std::string& name) {
  return read_config(configs + "/experiment/linux.yaml", {"include=" + configs + "/cpu/" + name + ".yaml"});
}

CpuProfile processor(const std::string& name) {
  MachineConfig config = load(name);
  config.cpu.l1d = {config.caches.l1d.size, config.caches.l1d.ways};
  return config.cpu;
}

/// The dotted keys of whatever describes itself.
class KeyCollector final : public ParameterVisitor {
 public:
  void boolean(std::string_view name, bool&, std::string_view) override { add(name); }
  void integer(std::string_view name, u64&, Range, std::string_view, std::string_view) override { add(name); }
  void text(std::string_view name, std::string&, std::string_view) override { add(name); }
  void path(std::string_view name, std::string&, std::string_view) override { add(name); }
  void choice(std::string_view name, std::string&, std::span<const std::string_view>, std::string_view) override {
    add(name);
  }
  void list(std::string_view name, std::vector<std::string>&, std::string_view) override { add(name); }
  void begin_group(std::string_view name, std::string_view) override { groups_.emplace_back(name); }
  void end_group() override { groups_.pop_back(); }

  std::vector<std::vector<std::string>> keys;

 private:
  void add(std::string_view name) {
    keys.push_back(groups_);
    keys.back().emplace_back(name);
  }
  std::vector<std::string> groups_;
};

bool says(const ConfigNode& root, const std::vector<std::string>& key) {
  const ConfigNode* node = &root;
  for (const std::string& part : key) {
    node = node->find(part);
    if (node == nullptr) return false;
  }
  return true;
}

class Profiles : public ::testing::TestWithParam<const char*> {};

TEST_P(Profiles, SaysEveryParameterOfItsGroups) {
  const ConfigNode tree = load_config_tree(configs + "/cpu/" + GetParam() + ".yaml");
  MachineConfig config;
  KeyCollector collector;
  config.describe(collector);
  for (const auto& key : collector.keys) {
    if (key[0] != "cpu" && key[0] != "tlb" && key[0] != "structure_caches" && key[0] != "second_stage" &&
        key[0] != "pipeline")
      continue;
    std::string dotted;
    for (const std::string& part : key) dotted += (dotted.empty() ? "" : ".") + part;
    EXPECT_TRUE(says(tree, key)) << dotted << " would keep the value of whatever profile came before";
  }
}

TEST_P(Profiles, IsPossibleForOneAndForFourCores) {
  MachineConfig config = load(GetParam());
  for (const u64 cores : {1u, 4u}) {
    EXPECT_FALSE(config.caches.problem(cores).has_value());
    EXPECT_NO_THROW(MemoryHierarchy(config.caches, static_cast<unsigned>(cores), config.cpu.frequency, 1));
  }
}

TEST_P(Profiles, SecondLevelTlbContainsTheFirst) {
  const TlbHierarchyParameters tlb = load(GetParam()).tlb;
  EXPECT_GE(tlb.small.entries, tlb.l1d.small.entries);
  EXPECT_GE(tlb.large.entries, tlb.l1d.large.entries);
  EXPECT_GE(tlb.giant.entries, tlb.l1d.giant.entries);
}

TEST_P(Profiles, CpuidShowsEveryFeatureAndNoOther) {
  const CpuProfile profile = processor(GetParam());
  TestCore core(profile);
  if (profile.has(Feature::Lm)) core.enter_long_mode();
  std::map<Feature, bool> shown;
  for (const CpuidFeatureBit& bit : cpuid_feature_bits()) {
    // Beyond the highest leaf Intel repeats that one.
    const bool there = bit.leaf <= cpuid_leaf(core.cpu, bit.leaf & 0x8000'0000, 0).eax;
    const CpuidResult r = cpuid_leaf(core.cpu, bit.leaf, bit.subleaf);
    const u32 value = bit.reg == RAX ? r.eax : bit.reg == RBX ? r.ebx : bit.reg == RCX ? r.ecx : r.edx;
    shown[bit.feature] = shown[bit.feature] || (there && (value >> bit.bit & 1) != 0);
  }
  for (const auto& [feature, visible] : shown) EXPECT_EQ(visible, profile.has(feature)) << feature_name(feature);
}

TEST_P(Profiles, BrandAndSignatureReadBack) {
  const CpuProfile profile = processor(GetParam());
  TestCore core(profile);
  std::string brand;
  for (u32 leaf = 0x8000'0002; leaf <= 0x8000'0004; ++leaf) {
    const CpuidResult r = cpuid_leaf(core.cpu, leaf, 0);
    for (const u32 word : {r.eax, r.ebx, r.ecx, r.edx}) {
      for (unsigned i = 0; i < 4; ++i) brand += static_cast<char>(word >> (8 * i));
    }
  }
  EXPECT_EQ(brand.substr(0, brand.find('\0')), profile.brand);
  const u32 signature = cpuid_leaf(core.cpu, 1, 0).eax;
  const u32 base = signature >> 8 & 15;
  EXPECT_EQ(base + (base == 15 ? signature >> 20 & 0xff : 0), profile.family);
  EXPECT_EQ((signature >> 4 & 15) | (signature >> 12 & 0xf0), profile.model);
}

TEST_P(Profiles, ResetTellsTheSignatureAndThatTheTscIsConstant) {
  TestMachine machine(processor(GetParam()));
  EXPECT_EQ(machine.state().gpr[RDX], cpuid_leaf(machine.processor.cpu(), 1, 0).eax);
  const bool amd = !machine.profile.intel();
  EXPECT_EQ(machine.state().msr.hwcr, amd ? hwcr::tsc_at_p0 : 0) << "HWCR.TscFreqSel, AMD only";
}

std::string test_name(const ::testing::TestParamInfo<const char*>& info) {
  std::string name = info.param;
  std::ranges::replace(name, '-', '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(Each, Profiles, ::testing::ValuesIn(names), test_name);

TEST(ProfileFolder, HasNoProfileThatIsNotTested) {
  for (const auto& file : std::filesystem::directory_iterator(configs + "/cpu")) {
    const std::string name = file.path().stem().string();
    if (name.starts_with("generic")) continue;
    EXPECT_TRUE(std::ranges::find(names, name) != std::end(names)) << name;
  }
}

/// Whether `code` runs; what raises #UD ends in a shutdown, for there is no IDT. 64-bit code if the profile has long mode.
bool runs(const std::string& profile_name, const std::vector<u8>& code) {
  const CpuProfile profile = processor(profile_name);
  TestMachine machine(profile);
  std::vector<u8> text = code;
  text.push_back(0xf4);
  machine.memory.write(HostPhysical(0x1000), text);
  if (profile.has(Feature::Lm)) {
    machine.enter_long(0x1000);
  } else {
    machine.enter_protected(0x1000);
  }
  CpuState& s = machine.state();
  s.cr4 |= cr4::OSFXSR | (profile.has(Feature::Xsave) ? cr4::OSXSAVE : 0);
  if (profile.has(Feature::Avx)) s.xcr0 = 7;
  s.gpr[RBX] = 0x3000;
  machine.processor.state_changed();
  return machine.processor.run(100) == Stop::Halted;
}

struct Sample {
  const char* what;
  const char* without;  ///< the newest profile of its maker that has not the instruction …
  const char* with;     ///< … and the oldest that has
  std::vector<u8> code;
};

TEST(MissingFeature, RaisesUndefinedOpcode) {
  const Sample samples[] = {
      {"haddps xmm0, xmm1 (SSE3)", "p4-northwood", "p4-672", {0xf2, 0x0f, 0x7c, 0xc1}},
      {"pabsb xmm0, xmm1 (SSSE3)", "p4-672", "merom", {0x66, 0x0f, 0x38, 0x1c, 0xc1}},
      {"pmulld xmm0, xmm1 (SSE4.1)", "merom", "penryn", {0x66, 0x0f, 0x38, 0x40, 0xc1}},
      {"popcnt eax, ecx", "penryn", "nehalem", {0xf3, 0x0f, 0xb8, 0xc1}},
      {"aesenc xmm0, xmm1", "nehalem", "westmere", {0x66, 0x0f, 0x38, 0xdc, 0xc1}},
      {"vaddps xmm0, xmm1, xmm2 (AVX)", "westmere", "sandy-bridge", {0xc5, 0xf0, 0x58, 0xc2}},
      {"vpaddd ymm0, ymm1, ymm2 (AVX2)", "sandy-bridge", "haswell", {0xc5, 0xf5, 0xfe, 0xc2}},
      {"rdseed eax", "haswell", "skylake", {0x0f, 0xc7, 0xf8}},
      {"pabsb xmm0, xmm1 (SSSE3)", "barcelona", "zen2", {0x66, 0x0f, 0x38, 0x1c, 0xc1}},
      {"invpcid rax, [rbx]", "zen2", "zen3", {0x66, 0x0f, 0x38, 0x82, 0x03}},
  };
  for (const Sample& s : samples) {
    EXPECT_FALSE(runs(s.without, s.code)) << s.what << " on " << s.without;
    EXPECT_TRUE(runs(s.with, s.code)) << s.what << " on " << s.with;
  }
}

}  // namespace
}  // namespace bunshin

/// SystemC's library wants one; nothing is elaborated here.
extern "C" int sc_main(int, char**) { return 0; }
