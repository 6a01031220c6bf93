#pragma once

// Virtio over PCI, the modern transport (Virtual I/O Device 1.2, section 4.1). One memory BAR holds the common, ISR,
// device and notification structures and the MSI-X table. Legacy (0.9) registers are left out: every driver of the last
// ten years speaks 1.x, SeaBIOS included, and a modern-only id (0x1040 + type) says so.

#include "devices/pci_function.h"
#include "devices/virtio_queue.h"

namespace bunshin {

/// Region 0: the 16 KiB memory BAR. MSI-X or INTA#.
class VirtioPci : public PciFunction, private VirtioMemory {
 public:
  static constexpr unsigned max_queues = 4;
  static constexpr unsigned structures_bar = 0;
  static constexpr u32 bar_bytes = 0x4000;
  static constexpr u32 common_at = 0x0000, isr_at = 0x0400, device_at = 0x0800, notify_at = 0x1000, msix_at = 0x2000,
                       msix_pending_at = 0x3000;
  static constexpr u32 notify_multiplier = 4;
  enum Status : u8 { Acknowledge = 1, Driver = 2, DriverOk = 4, FeaturesOk = 8, NeedsReset = 0x40, Failed = 0x80 };
  static constexpr u64 feature_indirect = u64{1} << 28, feature_event_index = u64{1} << 29,
                       feature_version_1 = u64{1} << 32;

  u32 config_read(u16 offset, unsigned size) override;
  void config_write(u16 offset, unsigned size, u32 value) override;
  void reset() override;
  void hash(StateHash& hash) const override;

 protected:
  /// `type` is the virtio device type (5, table of section 5); `features` the device's own feature bits.
  VirtioPci(DeviceHost& host, u16 type, u32 class_code, unsigned queues, u64 features);
  ~VirtioPci() = default;

  virtual u8 device_config(u64 offset) const = 0;
  virtual void queue_notified(unsigned queue) = 0;
  /// The driver reset the device: requests in flight are forgotten.
  virtual void device_reset() = 0;

  bool negotiated(u64 feature) const { return (driver_features_ & feature) != 0; }
  bool running() const { return (status_ & (DriverOk | NeedsReset)) == DriverOk; }
  VirtQueue::Take take(unsigned queue, DescriptorChain& chain);
  void complete(unsigned queue, u16 head, u32 written);
  VirtioMemory& memory() { return *this; }

 private:
  bool fetch(u64 address, std::span<u8> data) override { return master_read(address, data); }
  bool store(u64 address, std::span<const u8> data) override { return master_write(address, data); }

  u64 bar_read(unsigned bar, u64 offset, unsigned size) override;
  void bar_write(unsigned bar, u64 offset, unsigned size, u64 value) override;
  u32 common_read(u64 offset) const;
  void common_write(u64 offset, unsigned size, u32 value);
  void queue_write(VirtQueue& queue, u64 offset, unsigned size, u32 value);
  void write_status(u8 value);
  void write_driver_features(u32 value);
  u8 read_isr();
  void raise(u16 vector, u8 isr);
  void needs_reset();
  void virtio_reset();
  u16 add_structure(u8 type, u32 offset, u32 length, unsigned extra);
  u16 valid_vector(u16 vector) const { return vector < queues_ + 1u ? vector : u16{0xffff}; }

  const unsigned queues_;
  const u64 features_;
  u16 window_capability_ = 0;  ///< VIRTIO_PCI_CAP_PCI_CFG: BAR accesses through configuration space
  u64 driver_features_ = 0;
  u32 device_feature_select_ = 0;
  u32 driver_feature_select_ = 0;
  u16 config_vector_ = 0xffff;
  u16 queue_select_ = 0;
  u8 status_ = 0;
  u8 isr_ = 0;
  std::array<VirtQueue, max_queues> virt_queues_{};
};

}  // namespace bunshin
