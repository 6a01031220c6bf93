#include "devices/pci_function.h"

#include "base/check.h"

namespace bunshin {
namespace {

// PCI 3.0, 6.2.2 and 6.2.3.
constexpr u16 command_io = 1 << 0, command_memory = 1 << 1, command_master = 1 << 2, command_intx_off = 1 << 10;
constexpr u16 command_writable = command_io | command_memory | command_master | 1 << 6 | 1 << 8 | command_intx_off;
constexpr u16 status_interrupt = 1 << 3, status_capabilities = 1 << 4;
constexpr u8 capability_msi = 0x05, capability_msix = 0x11;
// PCI 3.0, 6.8.1.3 and 6.8.2.3: message control.
constexpr u16 msi_enable = 1 << 0, msi_64bit = 1 << 7, msi_per_vector_mask = 1 << 8;
constexpr u16 msix_function_mask = 1 << 14, msix_enable = 1 << 15;
constexpr u32 vector_masked = 1;
constexpr unsigned msix_entry_bytes = 16;

constexpr u16 bar_register(unsigned bar) { return static_cast<u16>(0x10 + 4 * bar); }

}  // namespace

PciFunction::PciFunction(DeviceHost& host, const PciIdentity& identity) : host_(host) {
  define(0x00, 2, identity.vendor, 0);
  define(0x02, 2, identity.device, 0);
  define(0x04, 2, 0, command_writable);
  define(0x08, 4, identity.class_code << 8 | identity.revision, 0);
  define(0x0c, 1, 0, 0xff);  // cache line size
  define(0x2c, 2, identity.subsystem_vendor, 0);
  define(0x2e, 2, identity.subsystem, 0);
  define(0x3c, 1, 0, 0xff);  // interrupt line: software's scratch register
}

void PciFunction::put(u16 offset, unsigned size, u32 value) {
  for (unsigned i = 0; i < size; ++i) config_[(offset + i) % config_.size()] = static_cast<u8>(value >> (8 * i));
}

u32 PciFunction::get(u16 offset, unsigned size) const {
  u32 value = 0;
  for (unsigned i = 0; i < size; ++i) value |= u32{config_[(offset + i) % config_.size()]} << (8 * i);
  return value;
}

void PciFunction::define(u16 offset, unsigned size, u32 value, u32 writable) {
  put(offset, size, value);
  for (unsigned i = 0; i < size; ++i) {
    initial_[offset + i] = config_[offset + i];
    if (offset + i < writable_.size()) writable_[offset + i] = static_cast<u8>(writable >> (8 * i));
  }
}

void PciFunction::add_memory_bar(unsigned bar, u64 size, bool is_64bit) {
  SIM_CHECK(bar + (is_64bit ? 1 : 0) < bar_count && size >= 16 && (size & (size - 1)) == 0);
  bars_[bar] = {size, false, is_64bit, false, 0};
  define(bar_register(bar), 4, is_64bit ? 4 : 0, static_cast<u32>(~(size - 1)));
  if (is_64bit) define(bar_register(bar + 1), 4, 0, static_cast<u32>(~(size - 1) >> 32));
}

void PciFunction::add_io_bar(unsigned bar, u32 size) {
  SIM_CHECK(bar < bar_count && size >= 4 && size <= 256 && (size & (size - 1)) == 0);
  bars_[bar] = {size, true, false, false, 0};
  define(bar_register(bar), 4, 1, ~(size - 1));
}

u16 PciFunction::add_capability(u8 id, unsigned length) {
  const u16 at = free_;
  SIM_CHECK(at + length <= 256);
  free_ = static_cast<u16>((at + length + 3) & ~3u);
  define(at, 2, id, 0);
  const u16 link = last_capability_ == 0x34 ? u16{0x34} : static_cast<u16>(last_capability_ + 1);
  define(link, 1, at, 0);
  last_capability_ = at;
  define(0x06, 2, status_capabilities, 0);
  return at;
}

void PciFunction::add_msi() {
  msi_capability_ = add_capability(capability_msi, 24);
  define(msi_capability_ + 2, 2, msi_64bit | msi_per_vector_mask, msi_enable);
  define(msi_capability_ + 4, 4, 0, ~u32{3});
  define(msi_capability_ + 8, 4, 0, ~u32{0});
  define(msi_capability_ + 12, 2, 0, 0xffff);
  define(msi_capability_ + 16, 4, 0, 1);
}

void PciFunction::add_msix(unsigned vectors, unsigned bar, u32 table_offset, u32 pending_offset) {
  SIM_CHECK(vectors >= 1 && vectors <= max_msix_vectors && bar < bar_count);
  msix_vectors_ = vectors;
  msix_bar_ = bar;
  msix_table_ = table_offset;
  msix_pending_at_ = pending_offset;
  msix_capability_ = add_capability(capability_msix, 12);
  define(msix_capability_ + 2, 2, vectors - 1, msix_enable | msix_function_mask);
  define(msix_capability_ + 4, 4, table_offset | bar, 0);
  define(msix_capability_ + 8, 4, pending_offset | bar, 0);
}

void PciFunction::reset() {
  config_ = initial_;
  msix_.fill(MsixEntry{});
  msix_pending_ = 0;
  msi_pending_ = false;
  intx_ = false;
  update_intx();
  place_bars();
}

u32 PciFunction::config_read(u16 offset, unsigned size) { return get(offset, size); }

void PciFunction::config_write(u16 offset, unsigned size, u32 value) {
  for (unsigned i = 0; i < size && offset + i < writable_.size(); ++i) {
    const u8 mask = writable_[offset + i];
    u8& byte = config_[offset + i];
    byte = static_cast<u8>((byte & ~mask) | ((value >> (8 * i)) & mask));
  }
  if (offset < 0x28) place_bars();
  update_intx();
  release_pending();
}

u64 PciFunction::bar_base(unsigned bar) const {
  const u64 low = get(bar_register(bar), 4) & ~(bars_[bar].io ? u32{3} : u32{15});
  return bars_[bar].is_64bit ? low | u64{get(bar_register(bar + 1), 4)} << 32 : low;
}

void PciFunction::place_bars() {
  const u32 command = get(0x04, 2);
  for (unsigned i = 0; i < bar_count; ++i) {
    Bar& bar = bars_[i];
    if (bar.size == 0) continue;
    const u64 base = bar_base(i);
    // Zero and the value that sizing leaves behind are "not assigned", whatever the command register says.
    const u64 sizing = bar.is_64bit ? ~(bar.size - 1) : ~(bar.size - 1) & 0xffff'ffff;
    const bool decodes = (command & (bar.io ? command_io : command_memory)) != 0 && base != 0 && base != sizing;
    if (decodes == bar.placed && (!decodes || base == bar.base)) continue;
    if (bar.placed && map_ != nullptr) map_->remove_bar(i);
    bar.placed = decodes;
    bar.base = base;
    if (decodes && map_ != nullptr) map_->place_bar(i, bar.io, base, bar.size);
  }
}

void PciFunction::set_intx(bool asserted) {
  intx_ = asserted;
  update_intx();
}

void PciFunction::update_intx() {
  const u32 status = get(0x06, 2);
  put(0x06, 2, intx_ ? status | status_interrupt : status & ~u32{status_interrupt});
  const bool driven = intx_ && (get(0x04, 2) & command_intx_off) == 0 && !msix_enabled() && !msi_enabled();
  if (driven == intx_driven_) return;
  intx_driven_ = driven;
  host_.set_pin(pin_intx, driven);
}

bool PciFunction::msix_enabled() const {
  return msix_capability_ != 0 && (get(msix_capability_ + 2, 2) & msix_enable) != 0;
}

bool PciFunction::msi_enabled() const {
  return msi_capability_ != 0 && (get(msi_capability_ + 2, 2) & msi_enable) != 0;
}

void PciFunction::send_message(u64 address, u32 data) {
  const std::array<u8, 4> bytes = {static_cast<u8>(data), static_cast<u8>(data >> 8), static_cast<u8>(data >> 16),
                                   static_cast<u8>(data >> 24)};
  master_write(address, bytes);
}

bool PciFunction::msix_masked(unsigned vector) const {
  return (get(msix_capability_ + 2, 2) & msix_function_mask) != 0 || (msix_[vector].control & vector_masked) != 0;
}

void PciFunction::signal_msix(unsigned vector) {
  if (!msix_enabled() || vector >= msix_vectors_) return;
  if (msix_masked(vector)) {
    msix_pending_ |= u32{1} << vector;
  } else {
    send_message(msix_[vector].address, msix_[vector].data);
  }
}

void PciFunction::signal_msi() {
  if (!msi_enabled()) return;
  msi_pending_ = true;
  release_pending();
}

void PciFunction::release_pending() {
  if (msi_capability_ != 0) {
    if (msi_pending_ && msi_enabled() && (get(msi_capability_ + 16, 4) & 1) == 0) {
      msi_pending_ = false;
      send_message(get(msi_capability_ + 4, 4) | u64{get(msi_capability_ + 8, 4)} << 32, get(msi_capability_ + 12, 2));
    }
    put(msi_capability_ + 20, 4, msi_pending_ ? 1 : 0);
  }
  if (!msix_enabled() || msix_pending_ == 0) return;
  for (unsigned vector = 0; vector < msix_vectors_; ++vector) {
    if ((msix_pending_ >> vector & 1) == 0 || msix_masked(vector)) continue;
    msix_pending_ &= ~(u32{1} << vector);
    send_message(msix_[vector].address, msix_[vector].data);
  }
}

bool PciFunction::in_msix_table(unsigned bar, u64 offset) const {
  return msix_vectors_ != 0 && bar == msix_bar_ && offset - msix_table_ < u64{msix_vectors_} * msix_entry_bytes;
}

bool PciFunction::in_msix_pending(unsigned bar, u64 offset) const {
  return msix_vectors_ != 0 && bar == msix_bar_ && offset - msix_pending_at_ < 8;
}

u32 PciFunction::msix_read(u64 offset) const {
  const MsixEntry& entry = msix_[offset / msix_entry_bytes % max_msix_vectors];
  switch (offset % msix_entry_bytes / 4) {
    case 0: return static_cast<u32>(entry.address);
    case 1: return static_cast<u32>(entry.address >> 32);
    case 2: return entry.data;
    default: return entry.control;
  }
}

void PciFunction::msix_write(u64 offset, u32 value) {
  MsixEntry& entry = msix_[offset / msix_entry_bytes % max_msix_vectors];
  switch (offset % msix_entry_bytes / 4) {
    case 0: entry.address = (entry.address & ~u64{0xffff'ffff}) | (value & ~u32{3}); break;
    case 1: entry.address = (entry.address & 0xffff'ffff) | u64{value} << 32; break;
    case 2: entry.data = value; break;
    default:
      entry.control = value & vector_masked;
      release_pending();
      break;
  }
}

// PCI 3.0, 6.8.2: the table and the pending array are accessed in aligned words of 4 or 8 bytes.
u64 PciFunction::read(unsigned region, u64 offset, unsigned size) {
  if (in_msix_table(region, offset) && size >= 4 && offset % size == 0) {
    const u64 at = offset - msix_table_;
    return size == 8 ? msix_read(at) | u64{msix_read(at + 4)} << 32 : msix_read(at);
  }
  if (in_msix_pending(region, offset)) return offset == msix_pending_at_ ? msix_pending_ : 0;
  return bar_read(region, offset, size);
}

void PciFunction::write(unsigned region, u64 offset, unsigned size, u64 value) {
  if (in_msix_table(region, offset)) {
    if (size < 4 || offset % size != 0) return;
    msix_write(offset - msix_table_, static_cast<u32>(value));
    if (size == 8) msix_write(offset - msix_table_ + 4, static_cast<u32>(value >> 32));
    return;
  }
  if (!in_msix_pending(region, offset)) bar_write(region, offset, size, value);
}

bool PciFunction::master_read(u64 address, std::span<u8> data) {
  return (get(0x04, 2) & command_master) != 0 && host_.dma_read(address, data);
}

bool PciFunction::master_write(u64 address, std::span<const u8> data) {
  return (get(0x04, 2) & command_master) != 0 && host_.dma_write(address, data);
}

void PciFunction::hash(StateHash& hash) const {
  hash.add(config_);
  for (unsigned i = 0; i < msix_vectors_; ++i) {
    hash.add(msix_[i].address);
    hash.add(u64{msix_[i].data} << 32 | msix_[i].control);
  }
  hash.add(u64{msix_pending_} << 2 | u64{msi_pending_} << 1 | u64{intx_});
}

}  // namespace bunshin
