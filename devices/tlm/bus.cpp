#include "devices/tlm/bus.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "base/check.h"

namespace bunshin {

Bus::Bus(const sc_core::sc_module_name& name) : sc_module(name), initiators("initiators"), targets_("targets") {
  initiators.register_b_transport(this, &Bus::b_transport);
  initiators.register_transport_dbg(this, &Bus::transport_dbg);
}

unsigned Bus::attach(tlm::tlm_base_target_socket_b<32>& target, std::string owner) {
  targets_.bind(target);
  owners_.push_back(std::move(owner));
  return static_cast<unsigned>(owners_.size() - 1);
}

const Bus::Range* Bus::overlapping(u64 base, u64 size) const {
  for (const Range& range : map_) {
    if (base <= range.base + (range.size - 1) && range.base <= base + (size - 1)) return &range;
  }
  return nullptr;
}

void Bus::insert(const Range& range) {
  const auto at =
      std::upper_bound(map_.begin(), map_.end(), range, [](const Range& a, const Range& b) { return a.base < b.base; });
  map_.insert(at, range);
  last_ = 0;
}

void Bus::map(unsigned target, u64 base, u64 size) {
  SIM_CHECK(target < owners_.size());
  if (size == 0 || base + (size - 1) < base) {
    throw std::runtime_error(
        fmt::format("{}: range {:#x} of {:#x} bytes for '{}' is empty or wraps; correct its address", name(), base,
                    size, owners_[target]));
  }
  if (const Range* other = overlapping(base, size)) {
    throw std::runtime_error(fmt::format("{}: '{}' at {:#x}-{:#x} overlaps '{}' at {:#x}-{:#x}; move one of them",
                                         name(), owners_[target], base, base + (size - 1), owners_[other->target],
                                         other->base, other->base + (other->size - 1)));
  }
  insert({base, size, target});
}

bool Bus::try_map(unsigned target, u64 base, u64 size) {
  SIM_CHECK(target < owners_.size());
  if (size == 0 || base + (size - 1) < base || overlapping(base, size) != nullptr) return false;
  insert({base, size, target});
  return true;
}

void Bus::unmap(unsigned target, u64 base) {
  std::erase_if(map_, [&](const Range& range) { return range.target == target && range.base == base; });
  last_ = 0;
}

const Bus::Range* Bus::find(u64 address, u64 size) const {
  if (last_ < map_.size()) {
    const Range& hit = map_[last_];
    if (address - hit.base < hit.size && hit.size - (address - hit.base) >= size) return &hit;
  }
  const auto after =
      std::upper_bound(map_.begin(), map_.end(), address, [](u64 a, const Range& range) { return a < range.base; });
  if (after == map_.begin()) return nullptr;
  const Range& range = *(after - 1);
  if (address - range.base >= range.size || range.size - (address - range.base) < size) return nullptr;
  last_ = static_cast<std::size_t>(after - map_.begin() - 1);
  return &range;
}

bool Bus::is_uniform(u64 address, u64 size) const {
  return find(address, size) != nullptr || address + (size - 1) < address || overlapping(address, size) == nullptr;
}

std::string Bus::describe_map() const {
  std::string text;
  for (const Range& range : map_) {
    text += fmt::format("{:#012x}-{:#012x} {}\n", range.base, range.base + (range.size - 1), owners_[range.target]);
  }
  return text;
}

void Bus::b_transport(int, tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
  const u64 address = payload.get_address();
  const Range* range = find(address, payload.get_data_length());
  if (range == nullptr) {
    ++unclaimed_;
    if (payload.is_read()) std::memset(payload.get_data_ptr(), 0xff, payload.get_data_length());
    payload.set_response_status(tlm::TLM_ADDRESS_ERROR_RESPONSE);
    return;
  }
  payload.set_address(address - range->base);
  targets_[static_cast<int>(range->target)]->b_transport(payload, delay);
  payload.set_address(address);
}

unsigned Bus::transport_dbg(int, tlm::tlm_generic_payload& payload) {
  const u64 address = payload.get_address();
  const Range* range = find(address, payload.get_data_length());
  if (range == nullptr) return 0;
  payload.set_address(address - range->base);
  const unsigned count = targets_[static_cast<int>(range->target)]->transport_dbg(payload);
  payload.set_address(address);
  return count;
}

}  // namespace bunshin
