#include "devices/acpi_tables.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <map>
#include <numeric>
#include <stdexcept>
#include <string>

namespace bunshin::test {
namespace {

struct Firmware : testing::Test {
  u64 get(u64 address, unsigned size) const {
    u64 value = 0;
    for (unsigned i = 0; i < size; ++i) value |= u64{tables.bytes.at(address - FirmwareTables::base + i)} << (8 * i);
    return value;
  }
  u8 sum(u64 address, u64 size) const {
    u8 total = 0;
    for (u64 i = 0; i < size; ++i) total = static_cast<u8>(total + get(address + i, 1));
    return total;
  }
  std::string text(u64 address, unsigned size) const {
    std::string s;
    for (unsigned i = 0; i < size; ++i) s.push_back(static_cast<char>(get(address + i, 1)));
    return s;
  }
  std::map<std::string, u64> by_signature() const {
    std::map<std::string, u64> found;
    const u64 xsdt = get(FirmwareTables::rsdp + 24, 8);
    for (u64 at = xsdt + 36; at < xsdt + get(xsdt + 4, 4); at += 8) found[text(get(at, 8), 4)] = get(at, 8);
    found["DSDT"] = get(found.at("FACP") + 140, 8);
    found["RSDT"] = get(FirmwareTables::rsdp + 16, 4);
    found["XSDT"] = xsdt;
    return found;
  }
  FirmwareTables tables = build_firmware_tables({.cores = 4, .hpet = true, .ecam_base = 0xe000'0000});
};

TEST_F(Firmware, RootPointerSumsToZero) {
  EXPECT_EQ(text(FirmwareTables::rsdp, 8), "RSD PTR ");
  EXPECT_EQ(sum(FirmwareTables::rsdp, 20), 0);
  EXPECT_EQ(sum(FirmwareTables::rsdp, 36), 0);
}

TEST_F(Firmware, EveryTableSumsToZero) {
  const auto found = by_signature();
  EXPECT_EQ(found.size(), 7u);
  for (const auto& [signature, address] : found) {
    EXPECT_EQ(text(address, 4), signature);
    EXPECT_EQ(sum(address, get(address + 4, 4)), 0) << signature;
  }
}

TEST_F(Firmware, RsdtAndXsdtAgree) {
  const u64 rsdt = get(FirmwareTables::rsdp + 16, 4), xsdt = get(FirmwareTables::rsdp + 24, 8);
  ASSERT_EQ((get(rsdt + 4, 4) - 36) / 4, (get(xsdt + 4, 4) - 36) / 8);
  EXPECT_EQ(get(rsdt + 36, 4), get(xsdt + 36, 8));
}

TEST_F(Firmware, MadtListsEveryProcessor) {
  const u64 madt = by_signature().at("APIC");
  unsigned processors = 0;
  for (u64 at = madt + 44; at < madt + get(madt + 4, 4); at += get(at + 1, 1)) processors += get(at, 1) == 0;
  EXPECT_EQ(processors, 4u);
}

TEST_F(Firmware, MpTableSumsToZeroAndCountsItsEntries) {
  const u64 pointer = FirmwareTables::mp_pointer;
  EXPECT_EQ(text(pointer, 4), "_MP_");
  EXPECT_EQ(sum(pointer, 16), 0);
  const u64 table = get(pointer + 4, 4);
  EXPECT_EQ(text(table, 4), "PCMP");
  EXPECT_EQ(sum(table, get(table + 4, 2)), 0);
  unsigned entries = 0;
  u64 at = table + 44;
  for (; at < table + get(table + 4, 2); ++entries) at += get(at, 1) == 0 ? 20 : 8;
  EXPECT_EQ(at, table + get(table + 4, 2));
  EXPECT_EQ(entries, get(table + 34, 2));
}

TEST_F(Firmware, CoresOutOfRangeAreRefused) {
  EXPECT_THROW(build_firmware_tables({.cores = 0}), std::runtime_error);
  EXPECT_THROW(build_firmware_tables({.cores = 17}), std::runtime_error);
}

TEST_F(Firmware, TablesDisassemble) {
  if (std::system("iasl -v > /dev/null 2>&1") != 0) GTEST_SKIP() << "iasl is not installed";
  for (const auto& [signature, address] : by_signature()) {
    const std::string file = testing::TempDir() + "bunshin_" + signature + ".aml";
    std::ofstream(file, std::ios::binary) << text(address, static_cast<unsigned>(get(address + 4, 4)));
    const std::string log = file + ".log";
    EXPECT_EQ(std::system(("iasl -d " + file + " > " + log + " 2>&1").c_str()), 0) << signature;
    std::ifstream stream(log);
    const std::string output{std::istreambuf_iterator<char>(stream), {}};
    EXPECT_EQ(output.find("nvalid"), std::string::npos) << signature << ": " << output;
  }
}

}  // namespace
}  // namespace bunshin::test
