#pragma once

// Main memory: channels with a data bus each, ranks of banks, rows that stay open or do not. A read takes
// controller + [tRP] + [tRCD] + tCAS + burst; the brackets apply on a row conflict and where no row is open (JESD79).
// Requests are served as they come, into the gaps that are left; there is no reordering for row hits.

#include <vector>

#include "mmu/memory/calendar.h"
#include "mmu/memory/hierarchy_parameters.h"

namespace bunshin {

struct DramCounters {
  u64 reads = 0;
  u64 writes = 0;
  u64 row_hits = 0;       ///< of reads: the row was open
  u64 row_misses = 0;     ///< no row was open
  u64 row_conflicts = 0;  ///< another row was open
  u64 bank_wait_cycles = 0;
  u64 bus_wait_cycles = 0;
  u64 refresh_wait_cycles = 0;
};

class Dram {
 public:
  /// `frequency` of the clock that counts cycles, in Hz. Parameters as MemoryHierarchyParameters::problem allows them.
  Dram(const DramParameters& parameters, u64 frequency);

  /// The cycle at which the line that `address` lies in has been read.
  u64 read(u64 address, u64 cycle);
  /// The cycle at which the controller takes a line to write. Written lines are collected and drained in order of rows
  /// between reads (as controllers do), so they occupy the data bus but close no row.
  u64 write(u64 address, u64 cycle);

  const DramCounters& counters() const { return counters_; }
  DramCounters& counters() { return counters_; }
  void reset();
  void hash(StateHash& hash) const;

  struct Place {
    u64 channel = 0;
    u64 bank = 0;  ///< within the channel, over all ranks
    u64 row = 0;
  };
  /// Line by line over the channels, then along the row, then bank, rank, row.
  Place place(u64 address) const;

 private:
  static constexpr u64 no_row = ~u64{0};
  struct Bank {
    u64 row = no_row;
    u64 activated = 0;
    Calendar<8> busy;
  };

  u64 after_refresh(u64 cycle);
  u64 access_bank(Bank& bank, u64 row, u64 cycle);

  u64 channels_;
  u64 banks_;  ///< of a channel, over all ranks
  unsigned column_shift_;
  unsigned bank_shift_;
  bool open_page_;
  bool bank_hash_;
  u64 cas_;
  u64 rcd_;
  u64 rp_;
  u64 ras_;
  u64 burst_;
  u64 controller_;
  u64 refresh_interval_;
  u64 refresh_time_;
  std::vector<Bank> bank_of_channel_;
  std::vector<Calendar<64>> buses_;
  DramCounters counters_;
};

/// Picoseconds in cycles of a clock, rounded up.
u64 cycles_of_ps(u64 ps, u64 frequency);

}  // namespace bunshin
