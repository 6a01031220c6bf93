#include "devices/tlm/shell.h"

#include <cstring>
#include <string>

#include "base/check.h"
#include "devices/tlm/bus_adapter.h"

namespace bunshin {
namespace {

constexpr u64 message_window = 0xfee0'0000, message_window_bytes = 0x10'0000;  // SDM vol. 3, 10.11.1

bool is_message(u64 address, std::size_t size) {
  return address - message_window < message_window_bytes && size == 4 && address % 4 == 0;
}

}  // namespace

DeviceShell::DeviceShell(const sc_core::sc_module_name& name, Board& board, SimTime latency)
    : sc_module(name),
      board_(board),
      latency_(to_sc_time(latency)),
      alarm_(
          "alarm", [](void* self) { static_cast<DeviceShell*>(self)->device_->alarm(); }, this) {
  for (unsigned i = 0; i < max_sockets; ++i) {
    sockets_.push_back(std::make_unique<Socket>(("region" + std::to_string(i)).c_str()));
  }
}

unsigned DeviceShell::attach(Bus& bus, unsigned region) {
  SIM_CHECK(used_sockets_ < max_sockets);
  Socket& socket = *sockets_[used_sockets_++];
  socket.register_b_transport(this, &DeviceShell::b_transport, static_cast<int>(region));
  return bus.attach(socket, name());
}

void DeviceShell::claim(Bus& bus, unsigned region, u64 base, u64 size) { bus.map(attach(bus, region), base, size); }

void DeviceShell::connect(unsigned pin, std::function<void(bool)> receiver) {
  if (pins_.size() <= pin) pins_.resize(pin + 1);
  pins_[pin].push_back(std::move(receiver));
}

void DeviceShell::set_pin(unsigned pin, bool level) {
  if (pin >= pins_.size()) return;
  for (const auto& receiver : pins_[pin]) receiver(level);
}

void DeviceShell::time_dma(bool write, u64 address, u64 bytes) {
  if (board_.dma_timer == nullptr) return;
  constexpr u64 control_bytes = 64;
  const SimTime done = board_.dma_timer->transfer(write, address, bytes, std::max(now(), dma_known_));
  dma_done_ = std::max(dma_done_, done);
  if (!write && bytes <= control_bytes) dma_known_ = done;
}

bool DeviceShell::dma_read(u64 address, std::span<u8> data) {
  if (board_.memory.read(HostPhysical(address), data)) {
    time_dma(false, address, data.size());
    return true;
  }
  SimTime delay = now() - to_sim_time(sc_core::sc_time_stamp());
  return board_.dma != nullptr &&
         board_.dma->transfer(BusSpace::Memory, tlm::TLM_READ_COMMAND, address, data.data(), data.size(), delay);
}

bool DeviceShell::dma_write(u64 address, std::span<const u8> data) {
  if (is_message(address, data.size())) {
    u32 message;
    std::memcpy(&message, data.data(), sizeof message);
    board_.router.message_signalled(address, message);
    return true;
  }
  if (board_.memory.write(HostPhysical(address), data)) {
    time_dma(true, address, data.size());
    return true;
  }
  if (board_.dma == nullptr) return false;
  SimTime delay = now() - to_sim_time(sc_core::sc_time_stamp());
  for (std::size_t done = 0; done < data.size();) {  // in pieces: TLM-2.0 wants a pointer it may write through
    std::array<u8, 64> piece;
    const std::size_t count = std::min(piece.size(), data.size() - done);
    std::memcpy(piece.data(), data.data() + done, count);
    if (!board_.dma->transfer(BusSpace::Memory, tlm::TLM_WRITE_COMMAND, address + done, piece.data(), count, delay)) {
      return false;
    }
    done += count;
  }
  return true;
}

void DeviceShell::b_transport(int region, tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
  const unsigned size = payload.get_data_length();
  if (size != 1 && size != 2 && size != 4 && size != 8) {
    payload.set_response_status(tlm::TLM_BURST_ERROR_RESPONSE);
    return;
  }
  if (payload.get_byte_enable_ptr() != nullptr) {
    payload.set_response_status(tlm::TLM_BYTE_ENABLE_ERROR_RESPONSE);
    return;
  }
  const BoardClock::Access access(board_.clock, to_sim_time(delay));
  held_until_ = now();
  u64 value = 0;
  if (payload.is_read()) {
    value = device_->read(static_cast<unsigned>(region), payload.get_address(), size);
    std::memcpy(payload.get_data_ptr(), &value, size);
  } else if (payload.is_write()) {
    std::memcpy(&value, payload.get_data_ptr(), size);
    device_->write(static_cast<unsigned>(region), payload.get_address(), size, value);
  }
  delay += std::max(latency_, to_sc_time(held_until_ - now()));
  payload.set_response_status(tlm::TLM_OK_RESPONSE);
}

void PciShell::insert(PciFunction& function, Bus& memory, Bus& io) {
  DeviceShell::insert(function);
  for (unsigned bar = 0; bar < PciFunction::bar_count; ++bar) {
    if (function.bar_size(bar) == 0) continue;
    Bus& bus = function.bar_is_io(bar) ? io : memory;
    places_[bar] = {&bus, attach(bus, bar), 0, false};
  }
  function.connect(this);
}

void PciShell::place_bar(unsigned bar, bool, u64 base, u64 size) {
  Place& place = places_[bar];
  if (place.bus == nullptr) return;
  remove_bar(bar);
  // Software may put a BAR over something else; who was there first keeps answering.
  place.mapped = place.bus->try_map(place.target, base, size);
  place.base = base;
}

void PciShell::remove_bar(unsigned bar) {
  Place& place = places_[bar];
  if (place.mapped) place.bus->unmap(place.target, place.base);
  place.mapped = false;
}

}  // namespace bunshin
