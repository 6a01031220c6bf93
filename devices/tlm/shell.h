#pragma once

// The thin TLM-2.0 shell around a plain device: target sockets in front of its regions, and the device's host behind.

#include <tlm_utils/simple_target_socket.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <vector>

#include "devices/device.h"
#include "devices/pci_function.h"
#include "devices/tlm/board.h"
#include "devices/tlm/bus.h"

namespace bunshin {

class DeviceShell : public sc_core::sc_module, public DeviceHost {
 public:
  /// `latency`: what each access costs its initiator.
  DeviceShell(const sc_core::sc_module_name& name, Board& board, SimTime latency);

  /// The device is created with this shell as its host, then put in.
  void insert(Device& device) { device_ = &device; }
  Device& device() const { return *device_; }

  /// Claims [base, base + size) of a bus for the device's `region`.
  void claim(Bus& bus, unsigned region, u64 base, u64 size);
  /// Connects output `pin` to one more receiver.
  void connect(unsigned pin, std::function<void(bool)> receiver);

  SimTime now() const override { return board_.clock.now(); }
  void set_alarm(SimTime at) override { alarm_.set(at); }
  void set_pin(unsigned pin, bool level) override;
  bool dma_read(u64 address, std::span<u8> data) override;
  bool dma_write(u64 address, std::span<const u8> data) override;
  SimTime dma_complete() const override { return std::max(now(), dma_done_); }
  void hold_until(SimTime at) override { held_until_ = at; }

 protected:
  /// A socket for `region`, attached to `bus` but not mapped; its index on the bus.
  unsigned attach(Bus& bus, unsigned region);

 private:
  using Socket = tlm_utils::simple_target_socket_tagged_optional<DeviceShell>;
  /// As many as a device has regions at most; SystemC wants them made in the module's constructor.
  static constexpr unsigned max_sockets = 6;
  /// Memory has answered.
  void time_dma(bool write, u64 address, u64 bytes);
  void b_transport(int region, tlm::tlm_generic_payload& payload, sc_core::sc_time& delay);

  Board& board_;
  const sc_core::sc_time latency_;
  Device* device_ = nullptr;
  AlarmClock alarm_;
  SimTime dma_done_;   ///< of all transfers so far
  SimTime dma_known_;  ///< … of those that the device must look at before it makes the next: descriptors, headers
  SimTime held_until_;
  std::vector<std::unique_ptr<Socket>> sockets_;
  unsigned used_sockets_ = 0;
  std::vector<std::vector<std::function<void(bool)>>> pins_;
};

/// A shell whose regions are BARs: they appear, move and vanish as configuration software says.
class PciShell : public DeviceShell, public PciAddressMap {
 public:
  using DeviceShell::DeviceShell;

  void insert(PciFunction& function, Bus& memory, Bus& io);
  void place_bar(unsigned bar, bool io, u64 base, u64 size) override;
  void remove_bar(unsigned bar) override;

 private:
  struct Place {
    Bus* bus = nullptr;
    unsigned target = 0;
    u64 base = 0;
    bool mapped = false;
  };
  std::array<Place, PciFunction::bar_count> places_{};
};

}  // namespace bunshin
