#pragma once

// Hardware prefetchers. They see misses and the first use of a line that they brought, which is what keeps a stream
// going (tagged prefetching: Smith, Computing Surveys 1982), so that ordinary hits cost nothing. All of them stay within
// the 4 KiB page of the access (Intel Optimization Manual, "Data Prefetching").

#include <array>

#include "base/state_hash.h"
#include "mmu/memory/hierarchy_parameters.h"
#include "mmu/memory/replacement.h"

namespace bunshin {

class Prefetcher {
 public:
  /// Parameters as MemoryHierarchyParameters::problem allows them.
  explicit Prefetcher(const PrefetcherParameters& parameters);

  /// The lines to fetch after an access.
  struct Wishes {
    std::array<u64, max_prefetch_degree> lines;  ///< the first `count` are set
    unsigned count = 0;
  };

  bool active() const { return kind_ != Kind::None; }
  /// `ip` is the accessing instruction's linear address, 0 where unknown: the stride prefetcher passes over those.
  void train(u64 ip, u64 address, Wishes& wishes);
  void reset();
  void hash(StateHash& hash) const;

 private:
  enum class Kind : u8 { None, NextLine, Stride, Streamer };
  struct StrideEntry {
    u64 ip = 0;
    u64 address = 0;
    i64 stride = 0;
    unsigned confidence = 0;
  };
  struct StreamEntry {
    u64 page = ~u64{0};
    i64 offset = 0;     ///< line within the page of the latest access
    i64 direction = 0;  ///< 1, -1; 0: not known yet
    i64 ahead = 0;      ///< the line up to which has been asked for
    unsigned confidence = 0;
    u64 used = 0;
  };

  static constexpr i64 lines_of_page = 64;
  static constexpr unsigned confident = 2;  ///< equal strides, or steps in one direction

  static bool wish(u64 address, i64 delta, Wishes& wishes);
  void train_stride(u64 ip, u64 address, Wishes& wishes);
  void train_stream(u64 address, Wishes& wishes);
  StreamEntry& stream_of(u64 page);

  Kind kind_ = Kind::None;
  i64 degree_;
  i64 distance_;
  u64 clock_ = 0;
  std::array<StrideEntry, 256> strides_{};  // Haswell and earlier: 256 instruction pointers, Intel manual as above
  std::array<StreamEntry, 32> streams_{};   // 32 streams, one forward or backward a page, same place
};

}  // namespace bunshin
