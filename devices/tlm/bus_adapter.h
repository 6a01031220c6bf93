#pragma once

// A processor's (or the DMA engine's) port onto the two buses: BusPort in front, TLM-2.0 initiator sockets behind.

#include <tlm_utils/simple_initiator_socket.h>

#include "devices/tlm/bus.h"
#include "mmu/memory/bus_port.h"

namespace bunshin {

class BusAdapter : public sc_core::sc_module, public BusPort {
 public:
  /// Binds itself to both buses.
  BusAdapter(const sc_core::sc_module_name& name, Bus& memory, Bus& io);

  u64 read(BusSpace space, u64 address, unsigned size, SimTime& delay) override;
  void write(BusSpace space, u64 address, unsigned size, u64 value, SimTime& delay) override;

  /// As read() and write(), for any length; false if some byte is claimed by nobody.
  bool transfer(BusSpace space, tlm::tlm_command command, u64 address, u8* data, u64 size, SimTime& delay);

 private:
  struct Side {
    explicit Side(const char* name, Bus& to) : socket(name), bus(to) { socket.bind(bus.initiators); }
    tlm_utils::simple_initiator_socket<BusAdapter> socket;
    Bus& bus;
  };
  bool access(Side& side, tlm::tlm_command command, u64 address, u8* data, unsigned size, sc_core::sc_time& delay);

  Side memory_;
  Side io_;
  tlm::tlm_generic_payload payload_;
};

}  // namespace bunshin
