// DRAM timing to the cycle. At 1 GHz a cycle is 1000 ps; tCAS 10, tRCD 20, tRP 30, tRAS 70, burst 4, controller 5.

#include <gtest/gtest.h>

#include "mmu/memory/dram.h"

namespace bunshin {
namespace {

constexpr u64 gigahertz = 1'000'000'000;

DramParameters round_numbers() {
  DramParameters p;
  p.channels = 1;
  p.ranks = 1;
  p.banks = 4;
  p.row_size = 1024;
  p.bank_hash = false;
  p.cas = 10'000;
  p.rcd = 20'000;
  p.rp = 30'000;
  p.ras = 70'000;
  p.burst = 4'000;
  p.controller = 5'000;
  return p;
}

/// Address of a line in row `row` of bank `bank`: 1 KiB rows, 4 banks.
constexpr u64 at(u64 row, u64 bank, u64 column) { return (row * 4 + bank) * 1024 + column * 64; }

TEST(Dram, FirstReadActivatesItsRow) {
  Dram dram(round_numbers(), gigahertz);
  EXPECT_EQ(dram.read(at(0, 0, 0), 100), 100u + 5 + 20 + 10 + 4);
  EXPECT_EQ(dram.counters().row_misses, 1u);
}

TEST(Dram, AnOpenRowAnswersAfterTheColumnAccess) {
  Dram dram(round_numbers(), gigahertz);
  dram.read(at(0, 0, 0), 100);
  EXPECT_EQ(dram.read(at(0, 0, 1), 1000), 1000u + 5 + 10 + 4);
  EXPECT_EQ(dram.counters().row_hits, 1u);
}

TEST(Dram, AnotherRowIsPrechargedFirst) {
  Dram dram(round_numbers(), gigahertz);
  dram.read(at(0, 0, 0), 100);
  EXPECT_EQ(dram.read(at(1, 0, 0), 1000), 1000u + 5 + 30 + 20 + 10 + 4);
  EXPECT_EQ(dram.counters().row_conflicts, 1u);
}

TEST(Dram, ARowStaysActiveForTras) {
  Dram dram(round_numbers(), gigahertz);
  dram.read(at(0, 0, 0), 100);  // activated at 105, bank free at 129
  // Precharge not before 105 + 70.
  EXPECT_EQ(dram.read(at(1, 0, 0), 130), 175u + 30 + 20 + 10 + 4);
}

TEST(Dram, RowHitsFollowEachOtherAtTheRateOfTheBus) {
  Dram dram(round_numbers(), gigahertz);
  const u64 first = dram.read(at(0, 0, 0), 100);
  for (u64 i = 1; i < 8; ++i) EXPECT_EQ(dram.read(at(0, 0, i), 100), first + 4 * i);
}

TEST(Dram, BanksWorkInParallelAndShareTheBus) {
  Dram dram(round_numbers(), gigahertz);
  const u64 first = dram.read(at(0, 0, 0), 100);
  for (u64 bank = 1; bank < 4; ++bank) EXPECT_EQ(dram.read(at(0, bank, 0), 100), first + 4 * bank);
  EXPECT_EQ(dram.counters().bus_wait_cycles, 4u + 8 + 12);
}

TEST(Dram, ChannelsHaveTheirOwnBuses) {
  DramParameters p = round_numbers();
  p.channels = 3;
  Dram dram(p, gigahertz);
  const u64 first = dram.read(0, 100);
  EXPECT_EQ(dram.read(64, 100), first);
  EXPECT_EQ(dram.read(128, 100), first);
  EXPECT_EQ(dram.read(192, 100), first + 4);  // channel 0 again, the row open by then
}

TEST(Dram, AClosedPageCostsTheSameEveryTimeAndKeepsItsBankForAnRc) {
  DramParameters p = round_numbers();
  p.open_page = false;
  Dram dram(p, gigahertz);
  EXPECT_EQ(dram.read(at(0, 0, 0), 100), 139u);
  EXPECT_EQ(dram.read(at(1, 0, 0), 1000), 1039u);
  // tRC = tRAS + tRP = 100 after the activation at 1005.
  EXPECT_EQ(dram.read(at(1, 0, 1), 1001), 1005u + 100 + 20 + 10 + 4);
  EXPECT_EQ(dram.counters().row_hits + dram.counters().row_conflicts, 0u);
}

TEST(Dram, RefreshBlocksTheBeginningOfEveryInterval) {
  DramParameters p = round_numbers();
  p.refresh_interval = 1'000'000;  // 1000 cycles
  p.refresh_time = 100'000;
  Dram dram(p, gigahertz);
  EXPECT_EQ(dram.read(at(0, 0, 0), 1000), 1100u + 34);
  EXPECT_EQ(dram.read(at(0, 0, 1), 1500), 1500u + 5 + 14);
  EXPECT_EQ(dram.counters().refresh_wait_cycles, 95u);
}

TEST(Dram, WritesOccupyTheBusAndNoBank) {
  Dram dram(round_numbers(), gigahertz);
  dram.read(at(0, 0, 0), 100);
  EXPECT_EQ(dram.write(at(1, 0, 0), 1000), 1000u);
  EXPECT_EQ(dram.write(at(1, 0, 1), 1000), 1004u);
  EXPECT_EQ(dram.read(at(0, 0, 1), 990), 1008u + 4) << "the row is still open, the bus busy until 1008";
}

TEST(Dram, ARequestThatComesLateIsNotHeldUpByTheFuture) {
  Dram dram(round_numbers(), gigahertz);
  dram.read(at(0, 0, 0), 50'000);
  EXPECT_EQ(dram.read(at(0, 0, 1), 100), 100u + 5 + 10 + 4);
}

TEST(Dram, TimesAreRoundedUpToCycles) {
  EXPECT_EQ(cycles_of_ps(13'750, 2'000'000'000), 28u);
  EXPECT_EQ(cycles_of_ps(0, 2'000'000'000), 0u);
  EXPECT_EQ(cycles_of_ps(1, 1'000'000), 1u);
  EXPECT_EQ(cycles_of_ps(1'000'000'000, 10'000'000'000), 10'000'000u);
}

TEST(Dram, BankHashSpreadsRowsThatWouldConflict) {
  DramParameters p = round_numbers();
  const auto banks = [&](bool hash) {
    p.bank_hash = hash;
    const Dram dram(p, gigahertz);
    u64 seen = 0;
    for (u64 row = 0; row < 4; ++row) seen |= u64{1} << dram.place(at(row, 0, 0)).bank;
    return seen;
  };
  EXPECT_EQ(banks(false), 1u);
  EXPECT_EQ(banks(true), 15u);
}

TEST(Dram, EveryLineHasAPlaceOfItsOwn) {
  DramParameters p = round_numbers();
  p.channels = 3;
  p.ranks = 2;
  p.bank_hash = true;
  const Dram dram(p, gigahertz);
  std::vector<u64> lines_of_place(3 * 8 * 16);
  for (u64 address = 0; address < u64{3} * 8 * 16 * 1024; address += 64) {
    const Dram::Place place = dram.place(address);
    ++lines_of_place.at((place.channel * 8 + place.bank) * 16 + place.row);
  }
  for (const u64 lines : lines_of_place) EXPECT_EQ(lines, 16u);
}

}  // namespace
}  // namespace bunshin
