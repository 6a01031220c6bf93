#include "devices/tlm/bus_adapter.h"

#include <algorithm>
#include <cstring>

#include "devices/tlm/board.h"

namespace bunshin {

BusAdapter::BusAdapter(const sc_core::sc_module_name& name, Bus& memory, Bus& io)
    : sc_module(name), memory_("memory", memory), io_("io", io) {}

bool BusAdapter::access(Side& side, tlm::tlm_command command, u64 address, u8* data, unsigned size,
                        sc_core::sc_time& delay) {
  tlm::tlm_generic_payload nested;  // a device's DMA may come back here while payload_ is on its way
  tlm::tlm_generic_payload& payload = payload_.get_data_ptr() == nullptr ? payload_ : nested;
  payload.set_command(command);
  payload.set_address(address);
  payload.set_data_ptr(data);
  payload.set_data_length(size);
  payload.set_streaming_width(size);
  payload.set_byte_enable_ptr(nullptr);
  payload.set_dmi_allowed(false);
  payload.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
  side.socket->b_transport(payload, delay);
  const bool ok = payload.get_response_status() == tlm::TLM_OK_RESPONSE;
  const bool nobody = payload.get_response_status() == tlm::TLM_ADDRESS_ERROR_RESPONSE;
  payload.set_data_ptr(nullptr);
  if (!nobody || size == 1 || side.bus.is_uniform(address, size)) return ok;
  bool all = true;
  for (unsigned i = 0; i < size; ++i) all &= access(side, command, address + i, data + i, 1, delay);
  return all;
}

u64 BusAdapter::read(BusSpace space, u64 address, unsigned size, SimTime& delay) {
  u64 value = ~u64{0};
  sc_core::sc_time time = to_sc_time(delay);
  access(space == BusSpace::Io ? io_ : memory_, tlm::TLM_READ_COMMAND, address, reinterpret_cast<u8*>(&value),
         std::min(size, 8u), time);
  delay = to_sim_time(time);
  return size >= 8 ? value : value & ((u64{1} << (8 * size)) - 1);
}

void BusAdapter::write(BusSpace space, u64 address, unsigned size, u64 value, SimTime& delay) {
  sc_core::sc_time time = to_sc_time(delay);
  access(space == BusSpace::Io ? io_ : memory_, tlm::TLM_WRITE_COMMAND, address, reinterpret_cast<u8*>(&value),
         std::min(size, 8u), time);
  delay = to_sim_time(time);
}

bool BusAdapter::transfer(BusSpace space, tlm::tlm_command command, u64 address, u8* data, u64 size, SimTime& delay) {
  sc_core::sc_time time = to_sc_time(delay);
  bool all = true;
  for (u64 done = 0; done < size && all;) {
    // The largest naturally aligned piece.
    unsigned piece = 8;
    while (piece > 1 && ((address + done) % piece != 0 || piece > size - done)) piece /= 2;
    all = access(space == BusSpace::Io ? io_ : memory_, command, address + done, data + done, piece, time);
    done += piece;
  }
  delay = to_sim_time(time);
  return all;
}

}  // namespace bunshin
