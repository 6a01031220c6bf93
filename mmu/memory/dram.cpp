#include "mmu/memory/dram.h"

#include <algorithm>
#include <bit>

#include "mmu/memory/request_kind.h"

namespace bunshin {

u64 cycles_of_ps(u64 ps, u64 frequency) {
  constexpr u64 second = 1'000'000'000'000;
  return static_cast<u64>((u128{ps} * frequency + second - 1) / second);
}

Dram::Dram(const DramParameters& p, u64 frequency)
    : channels_(p.channels),
      banks_(p.ranks * p.banks),
      column_shift_(static_cast<unsigned>(std::countr_zero(p.row_size / line_bytes))),
      bank_shift_(static_cast<unsigned>(std::countr_zero(banks_))),
      open_page_(p.open_page),
      bank_hash_(p.bank_hash),
      cas_(cycles_of_ps(p.cas, frequency)),
      rcd_(cycles_of_ps(p.rcd, frequency)),
      rp_(cycles_of_ps(p.rp, frequency)),
      ras_(cycles_of_ps(p.ras, frequency)),
      burst_(cycles_of_ps(p.burst, frequency)),
      controller_(cycles_of_ps(p.controller, frequency)),
      refresh_interval_(cycles_of_ps(p.refresh_interval, frequency)),
      refresh_time_(cycles_of_ps(p.refresh_time, frequency)),
      bank_of_channel_(channels_ * banks_),
      buses_(channels_) {
  // Rounding must not make them equal: after_refresh would never get out.
  if (refresh_interval_ != 0) refresh_time_ = std::min(refresh_time_, refresh_interval_ - 1);
}

Dram::Place Dram::place(u64 address) const {
  const u64 line = address >> line_shift;
  const u64 of_channel = line / channels_;
  const u64 above_column = of_channel >> column_shift_;
  const u64 row = above_column >> bank_shift_;
  const u64 bank = (above_column ^ (bank_hash_ ? row : 0)) & (banks_ - 1);
  return {line % channels_, bank, row};
}

u64 Dram::after_refresh(u64 cycle) {
  if (refresh_interval_ == 0) return cycle;
  const u64 phase = cycle % refresh_interval_;
  if (phase >= refresh_time_) return cycle;
  counters_.refresh_wait_cycles += refresh_time_ - phase;
  return cycle + refresh_time_ - phase;
}

/// When the line's data is on the bank's pins.
u64 Dram::access_bank(Bank& bank, u64 row, u64 cycle) {
  u64 before_column = 0;
  if (bank.row == row) {
    ++counters_.row_hits;
  } else if (bank.row == no_row) {
    ++counters_.row_misses;
    before_column = rcd_;
  } else {
    ++counters_.row_conflicts;
    before_column = rp_ + rcd_;
  }
  // A closed page keeps its bank until it has been precharged again.
  const u64 closing = open_page_ ? 0 : std::max(ras_, rcd_ + burst_) - rcd_ + rp_ - burst_;
  u64 begin = bank.busy.reserve(cycle, before_column + burst_ + closing);
  counters_.bank_wait_cycles += begin - cycle;
  if (before_column > rcd_ && bank.activated <= begin && begin < bank.activated + ras_) {
    const u64 too_early = bank.activated + ras_ - begin;
    bank.busy.reserve(begin + before_column + burst_, too_early);
    begin += too_early;
  }
  if (before_column != 0) bank.activated = begin + before_column - rcd_;
  bank.row = open_page_ ? row : no_row;
  return begin + before_column + cas_;
}

u64 Dram::read(u64 address, u64 cycle) {
  ++counters_.reads;
  const Place at = place(address);
  const u64 begin = after_refresh(cycle + controller_);
  const u64 data = access_bank(bank_of_channel_[at.channel * banks_ + at.bank], at.row, begin);
  const u64 bus = buses_[at.channel].reserve(data, burst_);
  counters_.bus_wait_cycles += bus - data;
  return bus + burst_;
}

u64 Dram::write(u64 address, u64 cycle) {
  ++counters_.writes;
  return buses_[(address >> line_shift) % channels_].reserve(cycle, burst_);
}

void Dram::reset() {
  for (Bank& bank : bank_of_channel_) bank = {};
  for (auto& bus : buses_) bus.reset();
}

void Dram::hash(StateHash& hash) const {
  for (const Bank& bank : bank_of_channel_) {
    hash.add(bank.row);
    hash.add(bank.activated);
    bank.busy.hash(hash);
  }
  for (const auto& bus : buses_) bus.hash(hash);
}

}  // namespace bunshin
