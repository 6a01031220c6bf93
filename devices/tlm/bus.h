#pragma once

// The bus: a TLM-2.0 router with an honest address map. One instance carries the memory space, another the I/O space.

#include <tlm_utils/multi_passthrough_initiator_socket.h>
#include <tlm_utils/multi_passthrough_target_socket.h>
#include <string>
#include <systemc>
#include <tlm>
#include <vector>

#include "base/types.h"

namespace bunshin {

class Bus : public sc_core::sc_module {
 public:
  /// Where initiators (processors, bus masters, loaders) bind.
  tlm_utils::multi_passthrough_target_socket<Bus, 32, tlm::tlm_base_protocol_types, 0, sc_core::SC_ZERO_OR_MORE_BOUND>
      initiators;

  explicit Bus(const sc_core::sc_module_name& name);

  /// Binds a target under the name that the map prints. Returns its index for map(). Before elaboration ends.
  unsigned attach(tlm::tlm_base_target_socket_b<32>& target, std::string owner);

  /// Routes [base, base + size) to an attached target, with addresses counted from `base`; at any time (a PCI BAR
  /// moves). A target may have several ranges. Throws std::runtime_error naming both owners if ranges overlap, or the
  /// range is empty or wraps.
  void map(unsigned target, u64 base, u64 size);
  /// As map(), but an overlap is a guest's doing: false, and nothing changes.
  bool try_map(unsigned target, u64 base, u64 size);
  /// Takes away the range that begins at `base`, if there is one.
  void unmap(unsigned target, u64 base);

  /// True if one target claims all of [address, address + size), or nobody claims any of it.
  bool is_uniform(u64 address, u64 size) const;
  /// "base-end owner", one line a range.
  std::string describe_map() const;
  /// Accesses that nobody claimed.
  const u64& unclaimed() const { return unclaimed_; }

  void b_transport(int initiator, tlm::tlm_generic_payload& payload, sc_core::sc_time& delay);
  unsigned transport_dbg(int initiator, tlm::tlm_generic_payload& payload);

 private:
  struct Range {
    u64 base = 0;
    u64 size = 0;
    unsigned target = 0;
  };
  const Range* overlapping(u64 base, u64 size) const;
  const Range* find(u64 address, u64 size) const;
  void insert(const Range& range);

  tlm_utils::multi_passthrough_initiator_socket<Bus, 32, tlm::tlm_base_protocol_types, 0,
                                                sc_core::SC_ZERO_OR_MORE_BOUND>
      targets_;
  std::vector<std::string> owners_;
  std::vector<Range> map_;  ///< sorted by base
  mutable std::size_t last_ = 0;
  u64 unclaimed_ = 0;
};

}  // namespace bunshin
