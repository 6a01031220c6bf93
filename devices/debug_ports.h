#pragma once

// Three one-register devices that test programs and firmware report through.

#include "devices/device.h"
#include "devices/serial_port.h"

namespace bunshin {

/// QEMU's isa-debug-exit (docs/specs, hw/misc/debugexit.c): a write of value v asks for the end of the run.
/// Region 0: ports 0xF4..0xF7 (size 4 by default). Output pin 0: a value was written.
class IsaDebugExit final : public Device {
 public:
  explicit IsaDebugExit(DeviceHost& host) : host_(host) {}

  u64 read(unsigned region, u64 offset, unsigned size) override;
  void write(unsigned region, u64 offset, unsigned size, u64 value) override;
  void reset() override { value_ = 0; }
  void hash(StateHash& hash) const override { hash.add(value_); }

  u32 value() const { return value_; }

 private:
  DeviceHost& host_;
  u32 value_ = 0;
};

/// QEMU's isa-debugcon: bytes written go to the console; reads answer 0xE9, by which programs detect it.
/// Region 0: port 0xE9.
class DebugConsole final : public Device {
 public:
  void connect(SerialPort* console) { console_ = console; }

  u64 read(unsigned region, u64 offset, unsigned size) override;
  void write(unsigned region, u64 offset, unsigned size, u64 value) override;
  void reset() override {}
  void hash(StateHash&) const override {}

 private:
  SerialPort* console_ = nullptr;
};

/// The diagnostic port of the IBM AT: the last checkpoint that firmware wrote. Region 0: port 0x80.
class PostCode final : public Device {
 public:
  u64 read(unsigned region, u64 offset, unsigned size) override;
  void write(unsigned region, u64 offset, unsigned size, u64 value) override;
  void reset() override { code_ = 0; }
  void hash(StateHash& hash) const override { hash.add(code_); }

  u8 code() const { return code_; }

 private:
  u8 code_ = 0;
};

}  // namespace bunshin
