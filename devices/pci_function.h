#pragma once

// One function on a PCI bus: configuration header type 0, BARs, capabilities, MSI, MSI-X and INTx (PCI Local Bus 3.0
// ch. 6; PCI Express 4.0 ch. 7.5).

#include <array>

#include "devices/device.h"

namespace bunshin {

/// What configuration cycles reach: a function, or later a bridge.
class PciConfigTarget {
 public:
  /// `offset` is below 4096; `size` is 1, 2 or 4 and the access does not cross a doubleword.
  virtual u32 config_read(u16 offset, unsigned size) = 0;
  virtual void config_write(u16 offset, unsigned size, u32 value) = 0;

 protected:
  ~PciConfigTarget() = default;
};

/// Where a function's BARs appear: the memory and I/O buses, through the function's shell.
class PciAddressMap {
 public:
  /// BAR `bar` now decodes [base, base + size); replaces its earlier place.
  virtual void place_bar(unsigned bar, bool io, u64 base, u64 size) = 0;
  virtual void remove_bar(unsigned bar) = 0;

 protected:
  ~PciAddressMap() = default;
};

struct PciIdentity {
  u16 vendor = 0;
  u16 device = 0;
  u32 class_code = 0;  ///< class, subclass, programming interface
  u8 revision = 0;
  u16 subsystem_vendor = 0;
  u16 subsystem = 0;
};

/// Region n: BAR n. Output pin 0: INTA#. Derived classes implement bar_read() and bar_write() and declare BARs and
/// capabilities in their constructors.
class PciFunction : public Device, public PciConfigTarget {
 public:
  static constexpr unsigned pin_intx = 0;
  static constexpr unsigned max_msix_vectors = 16;
  static constexpr unsigned bar_count = 6;

  PciFunction(DeviceHost& host, const PciIdentity& identity);

  void connect(PciAddressMap* map) { map_ = map; }

  u32 config_read(u16 offset, unsigned size) override;
  void config_write(u16 offset, unsigned size, u32 value) override;
  u64 read(unsigned region, u64 offset, unsigned size) final;
  void write(unsigned region, u64 offset, unsigned size, u64 value) final;
  void reset() override;
  void hash(StateHash& hash) const override;

  u64 bar_size(unsigned bar) const { return bars_[bar % bar_count].size; }
  bool bar_is_io(unsigned bar) const { return bars_[bar % bar_count].io; }

 protected:
  ~PciFunction() = default;

  virtual u64 bar_read(unsigned /*bar*/, u64 /*offset*/, unsigned /*size*/) { return ~u64{0}; }
  virtual void bar_write(unsigned /*bar*/, u64 /*offset*/, unsigned /*size*/, u64 /*value*/) {}

  /// `size` is a power of two of at least 16 (memory) or 4 (I/O). A 64-bit BAR takes the next slot too.
  void add_memory_bar(unsigned bar, u64 size, bool is_64bit);
  void add_io_bar(unsigned bar, u32 size);
  /// Links a capability of `length` bytes (with its two-byte header) into the list; returns its offset.
  u16 add_capability(u8 id, unsigned length);
  void add_msi();
  void add_msix(unsigned vectors, unsigned bar, u32 table_offset, u32 pending_offset);
  void set_intx_pin(u8 pin) { put(0x3d, 1, pin); }
  /// Sets initial contents and which bits software may write; for registers of derived classes.
  void define(u16 offset, unsigned size, u32 value, u32 writable);
  void put(u16 offset, unsigned size, u32 value);
  u32 get(u16 offset, unsigned size) const;

  /// Level of the function's own interrupt condition, as INTx shows it.
  void set_intx(bool asserted);
  bool msix_enabled() const;
  bool msi_enabled() const;
  /// Sends, or keeps pending while masked. Without effect if MSI-X (MSI) is off.
  void signal_msix(unsigned vector);
  void signal_msi();
  /// Bus-master accesses, refused while the command register forbids them.
  bool master_read(u64 address, std::span<u8> data);
  bool master_write(u64 address, std::span<const u8> data);

  DeviceHost& host_;

 private:
  struct Bar {
    u64 size = 0;
    bool io = false;
    bool is_64bit = false;
    bool placed = false;
    u64 base = 0;
  };
  struct MsixEntry {
    u64 address = 0;
    u32 data = 0;
    u32 control = 1;
  };

  u64 bar_base(unsigned bar) const;
  void place_bars();
  void update_intx();
  void release_pending();
  bool in_msix_table(unsigned bar, u64 offset) const;
  bool in_msix_pending(unsigned bar, u64 offset) const;
  u32 msix_read(u64 offset) const;
  void msix_write(u64 offset, u32 value);
  bool msix_masked(unsigned vector) const;
  void send_message(u64 address, u32 data);

  PciAddressMap* map_ = nullptr;
  std::array<u8, 4096> config_{};
  std::array<u8, 4096> initial_{};
  std::array<u8, 256> writable_{};
  std::array<Bar, bar_count> bars_{};
  std::array<MsixEntry, max_msix_vectors> msix_{};
  u32 msix_pending_ = 0;
  unsigned msix_vectors_ = 0;
  unsigned msix_bar_ = 0;
  u32 msix_table_ = 0;
  u32 msix_pending_at_ = 0;
  u16 msix_capability_ = 0;
  u16 msi_capability_ = 0;
  u16 last_capability_ = 0x34;
  u16 free_ = 0x40;
  bool msi_pending_ = false;
  bool intx_ = false;
  bool intx_driven_ = false;
};

}  // namespace bunshin
