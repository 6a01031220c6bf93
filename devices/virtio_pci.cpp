#include "devices/virtio_pci.h"

#include "base/check.h"

namespace bunshin {
namespace {

constexpr u8 capability_vendor = 0x09;
// 4.1.4: configuration structure types.
constexpr u8 type_common = 1, type_notify = 2, type_isr = 3, type_device = 4, type_pci_window = 5;
constexpr u8 isr_queue = 1, isr_config = 2;
constexpr u32 common_bytes = 56, device_bytes = 0x100;

constexpr u64 replace_low(u64 old, u32 value) { return (old & ~u64{0xffff'ffff}) | value; }
constexpr u64 replace_high(u64 old, u32 value) { return (old & 0xffff'ffff) | u64{value} << 32; }

}  // namespace

VirtioPci::VirtioPci(DeviceHost& host, u16 type, u32 class_code, unsigned queues, u64 features)
    : PciFunction(host, {0x1af4, static_cast<u16>(0x1040 + type), class_code, 1, 0x1af4, 0x1100}),
      queues_(queues),
      features_(features | feature_version_1 | feature_indirect | feature_event_index) {
  SIM_CHECK(queues >= 1 && queues <= max_queues);
  add_memory_bar(structures_bar, bar_bytes, true);
  set_intx_pin(1);
  define(0x3d, 1, 1, 0);
  add_structure(type_common, common_at, common_bytes, 0);
  add_structure(type_isr, isr_at, 1, 0);
  add_structure(type_device, device_at, device_bytes, 0);
  const u16 notify = add_structure(type_notify, notify_at, notify_multiplier * queues, 4);
  define(notify + 16, 4, notify_multiplier, 0);
  window_capability_ = add_structure(type_pci_window, 0, 0, 4);
  define(window_capability_ + 4, 1, 0, 0xff);
  define(window_capability_ + 8, 4, 0, ~u32{0});
  define(window_capability_ + 12, 4, 0, ~u32{0});
  add_msix(queues + 1, structures_bar, msix_at, msix_pending_at);
}

u16 VirtioPci::add_structure(u8 type, u32 offset, u32 length, unsigned extra) {
  const unsigned bytes = 16 + extra;
  const u16 at = add_capability(capability_vendor, bytes);
  define(at + 2, 1, bytes, 0);
  define(at + 3, 1, type, 0);
  define(at + 4, 1, structures_bar, 0);
  define(at + 8, 4, offset, 0);
  define(at + 12, 4, length, 0);
  return at;
}

// 4.1.4.9: pci_cfg_data reads and writes the BAR at the offset and width that the driver left in the capability.
u32 VirtioPci::config_read(u16 offset, unsigned size) {
  if (offset / 4 == (window_capability_ + 16) / 4) {
    const u32 at = get(window_capability_ + 8, 4);
    const u32 width = get(window_capability_ + 12, 4);
    const bool valid = (width == 1 || width == 2 || width == 4) && get(window_capability_ + 4, 1) == structures_bar &&
                       at % width == 0 && at < bar_bytes;
    if (valid && size == width) return static_cast<u32>(PciFunction::read(structures_bar, at, width));
    return 0;
  }
  return PciFunction::config_read(offset, size);
}

void VirtioPci::config_write(u16 offset, unsigned size, u32 value) {
  if (offset / 4 == (window_capability_ + 16) / 4) {
    const u32 at = get(window_capability_ + 8, 4);
    const u32 width = get(window_capability_ + 12, 4);
    const bool valid = (width == 1 || width == 2 || width == 4) && get(window_capability_ + 4, 1) == structures_bar &&
                       at % width == 0 && at < bar_bytes;
    if (valid && size == width) PciFunction::write(structures_bar, at, width, value);
    return;
  }
  PciFunction::config_write(offset, size, value);
}

u64 VirtioPci::bar_read(unsigned, u64 offset, unsigned size) {
  u64 value = 0;
  if (offset >= isr_at && offset < device_at) return offset == isr_at ? read_isr() : 0;
  for (unsigned i = 0; i < size; ++i) {
    u64 byte = 0;
    const u64 at = offset + i;
    if (at < common_bytes) byte = common_read(at & ~u64{3}) >> (8 * (at & 3)) & 0xff;
    if (at >= device_at && at < device_at + device_bytes) byte = device_config(at - device_at);
    value |= byte << (8 * i);
  }
  return value;
}

void VirtioPci::bar_write(unsigned, u64 offset, unsigned size, u64 value) {
  if (offset < common_bytes) {
    common_write(offset, size, static_cast<u32>(value));
    if (size == 8) common_write(offset + 4, 4, static_cast<u32>(value >> 32));
  } else if (offset >= notify_at && offset < notify_at + notify_multiplier * queues_) {
    if (running()) queue_notified(static_cast<unsigned>((offset - notify_at) / notify_multiplier));
  }
}

/// One aligned doubleword of the common configuration structure (4.1.4.3).
u32 VirtioPci::common_read(u64 offset) const {
  const bool exists = queue_select_ < queues_;
  const VirtQueue none;
  const VirtQueue& queue = exists ? virt_queues_[queue_select_] : none;
  switch (offset) {
    case 0x00: return device_feature_select_;
    case 0x04: return device_feature_select_ < 2 ? static_cast<u32>(features_ >> (32 * device_feature_select_)) : 0;
    case 0x08: return driver_feature_select_;
    case 0x0c:
      return driver_feature_select_ < 2 ? static_cast<u32>(driver_features_ >> (32 * driver_feature_select_)) : 0;
    case 0x10: return config_vector_ | queues_ << 16;
    case 0x14: return status_ | u32{queue_select_} << 16;  // config_generation stays 0: the configuration never changes
    case 0x18: return exists ? queue.size | u32{queue.msix_vector} << 16 : u32{0xffff} << 16;
    case 0x1c: return u32{exists && queue.enabled} | u32{queue_select_} << 16;
    case 0x20: return static_cast<u32>(queue.descriptors);
    case 0x24: return static_cast<u32>(queue.descriptors >> 32);
    case 0x28: return static_cast<u32>(queue.driver);
    case 0x2c: return static_cast<u32>(queue.driver >> 32);
    case 0x30: return static_cast<u32>(queue.device);
    case 0x34: return static_cast<u32>(queue.device >> 32);
    default: return 0;
  }
}

void VirtioPci::common_write(u64 offset, unsigned size, u32 value) {
  switch (offset) {
    case 0x00: device_feature_select_ = value; break;
    case 0x08: driver_feature_select_ = value; break;
    case 0x0c: write_driver_features(value); break;
    case 0x10: config_vector_ = valid_vector(static_cast<u16>(value)); break;
    case 0x14: write_status(static_cast<u8>(value)); break;
    case 0x16: queue_select_ = static_cast<u16>(value); break;
    default:
      if (queue_select_ < queues_) queue_write(virt_queues_[queue_select_], offset, size, value);
      break;
  }
}

void VirtioPci::queue_write(VirtQueue& queue, u64 offset, unsigned size, u32 value) {
  const u16 half = static_cast<u16>(value);
  if (offset == 0x1a) queue.msix_vector = valid_vector(half);
  if (queue.enabled) return;  // 4.1.4.3.2: the rest is fixed once the queue runs
  switch (offset) {
    case 0x18:
      if (half != 0 && half <= VirtQueue::max_size && (half & (half - 1)) == 0) queue.size = half;
      if (size == 4) queue.msix_vector = valid_vector(static_cast<u16>(value >> 16));
      break;
    case 0x1c: queue.enabled = half == 1; break;
    case 0x20: queue.descriptors = replace_low(queue.descriptors, value); break;
    case 0x24: queue.descriptors = replace_high(queue.descriptors, value); break;
    case 0x28: queue.driver = replace_low(queue.driver, value); break;
    case 0x2c: queue.driver = replace_high(queue.driver, value); break;
    case 0x30: queue.device = replace_low(queue.device, value); break;
    case 0x34: queue.device = replace_high(queue.device, value); break;
    default: break;
  }
}

void VirtioPci::write_driver_features(u32 value) {
  if ((status_ & FeaturesOk) != 0) return;
  if (driver_feature_select_ == 0) driver_features_ = replace_low(driver_features_, value);
  if (driver_feature_select_ == 1) driver_features_ = replace_high(driver_features_, value);
}

void VirtioPci::write_status(u8 value) {
  if (value == 0) return virtio_reset();
  // 3.1.1: the device accepts FEATURES_OK only for a subset of what it offers, VERSION_1 included.
  const bool acceptable = (driver_features_ & ~features_) == 0 && negotiated(feature_version_1);
  if ((value & FeaturesOk) != 0 && (status_ & FeaturesOk) == 0 && !acceptable) value &= static_cast<u8>(~FeaturesOk);
  status_ = static_cast<u8>(value | (status_ & NeedsReset));
}

u8 VirtioPci::read_isr() {
  const u8 value = isr_;
  isr_ = 0;
  set_intx(false);
  return value;
}

void VirtioPci::raise(u16 vector, u8 isr) {
  if (msix_enabled()) {
    if (vector != 0xffff) signal_msix(vector);
    return;
  }
  isr_ |= isr;
  set_intx(true);
}

void VirtioPci::needs_reset() {
  if ((status_ & NeedsReset) != 0) return;
  status_ |= NeedsReset;
  if ((status_ & DriverOk) != 0) raise(config_vector_, isr_config);  // 2.1.2
}

VirtQueue::Take VirtioPci::take(unsigned queue, DescriptorChain& chain) {
  const auto result = virt_queues_[queue].take(memory(), negotiated(feature_event_index), chain);
  if (result == VirtQueue::Take::Broken) needs_reset();
  return result;
}

void VirtioPci::complete(unsigned queue, u16 head, u32 written) {
  bool notify = false;
  if (!virt_queues_[queue].complete(memory(), negotiated(feature_event_index), head, written, notify)) {
    needs_reset();
  } else if (notify) {
    raise(virt_queues_[queue].msix_vector, isr_queue);
  }
}

void VirtioPci::virtio_reset() {
  driver_features_ = 0;
  device_feature_select_ = driver_feature_select_ = 0;
  config_vector_ = 0xffff;
  queue_select_ = 0;
  status_ = isr_ = 0;
  for (VirtQueue& queue : virt_queues_) queue.reset();
  set_intx(false);
  device_reset();
}

void VirtioPci::reset() {
  PciFunction::reset();
  virtio_reset();
}

void VirtioPci::hash(StateHash& hash) const {
  PciFunction::hash(hash);
  hash.add(driver_features_);
  hash.add(u64{device_feature_select_} << 32 | driver_feature_select_);
  hash.add(u64{config_vector_} << 48 | u64{queue_select_} << 32 | u64{status_} << 8 | isr_);
  for (unsigned i = 0; i < queues_; ++i) virt_queues_[i].hash(hash);
}

}  // namespace bunshin
