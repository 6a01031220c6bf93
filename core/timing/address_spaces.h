#pragma once

// Address spaces by CR3, a bounded number of them: the ones that took most cycles, and the sum of the rest.

#include <array>
#include <unordered_map>
#include <vector>

#include "core/timing/run_counters.h"

namespace bunshin {

/// CR3 and the privilege level of the code that runs, in one word.
class AddressSpaceId {
 public:
  AddressSpaceId() = default;
  /// CR3's bit 63 is not stored by any processor (SDM vol. 3, 4.10.4.1), and no address of ours has bit 62: they are free for
  /// the privilege.
  AddressSpaceId(u64 cr3, bool user, bool guest = false)
      : value_((cr3 & ~(user_bit | guest_bit)) | (user ? user_bit : 0) | (guest ? guest_bit : 0)) {}

  u64 cr3() const { return value_ & ~(user_bit | guest_bit); }
  Privilege privilege() const {
    if ((value_ & guest_bit) != 0) return (value_ & user_bit) != 0 ? Privilege::GuestUser : Privilege::GuestSupervisor;
    return (value_ & user_bit) != 0 ? Privilege::User : Privilege::Supervisor;
  }
  bool operator==(const AddressSpaceId&) const = default;

 private:
  static constexpr u64 user_bit = u64{1} << 63, guest_bit = u64{1} << 62;
  u64 value_ = 0;
};

struct AddressSpace {
  u64 cr3 = 0;
  u64 first_cycle = 0, last_cycle = 0;  ///< when it was current first and last
  std::array<RunCounters, privileges> by_privilege;

  u64 cycles() const;
};

class AddressSpaces {
 public:
  static constexpr std::size_t capacity = 256;

  /// The space with this CR3. If there is no room, the one with the fewest cycles joins the others.
  AddressSpace& at(u64 cr3, u64 cycle);
  /// Those with most cycles first.
  std::vector<AddressSpace> hottest() const;
  /// The sum of those that had to go, and how often one went.
  const AddressSpace& others() const { return others_; }
  u64 evicted() const { return evicted_; }

 private:
  std::size_t make_room();

  std::vector<AddressSpace> spaces_;
  std::unordered_map<u64, std::size_t> index_;
  std::size_t last_ = 0;
  AddressSpace others_;
  u64 evicted_ = 0;
};

}  // namespace bunshin
