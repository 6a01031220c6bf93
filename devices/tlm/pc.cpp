#include "devices/tlm/pc.h"

#include <fmt/format.h>

#include <cstring>
#include <optional>
#include <stdexcept>

#include "base/check.h"
#include "devices/acpi_pm.h"
#include "devices/acpi_tables.h"
#include "devices/debug_ports.h"
#include "devices/fw_cfg.h"
#include "devices/hpet.h"
#include "devices/i8042.h"
#include "devices/io_apic.h"
#include "devices/pc_testdev.h"
#include "devices/pci_host.h"
#include "devices/pic.h"
#include "devices/pit.h"
#include "devices/reset_rom.h"
#include "devices/rtc.h"
#include "devices/system_control.h"
#include "devices/tlm/pc_lines.h"
#include "devices/tlm/raw_image.h"
#include "devices/tlm/shell.h"
#include "devices/uart16550.h"

namespace bunshin {
namespace {

constexpr unsigned max_cores = 16, max_disks = 16;
constexpr unsigned lpc_slot = 31, first_disk_slot = 2;
constexpr PciWindows pci_windows = {Pc::pci_hole, Pc::ecam_base, 0xc000};

/// A local APIC's host: it is reached by its own core without the bus, at that core's time.
class ApicHost final : public sc_core::sc_module, public DeviceHost {
 public:
  ApicHost(const sc_core::sc_module_name& name, const BoardClock& clock)
      : sc_module(name),
        clock_(clock),
        alarm_(
            "alarm", [](void* self) { static_cast<ApicHost*>(self)->apic->alarm(); }, this) {}

  SimTime now() const override { return std::max(clock_.now(), local_); }
  void set_alarm(SimTime at) override { alarm_.set(at); }
  void set_pin(unsigned, bool) override {}
  bool dma_read(u64, std::span<u8>) override { return false; }
  bool dma_write(u64, std::span<const u8>) override { return false; }
  void set_local_time(SimTime time) { local_ = time; }

  LocalApic* apic = nullptr;

 private:
  const BoardClock& clock_;
  SimTime local_;
  AlarmClock alarm_;
};

/// The processor's pins, which are connected after its local APIC exists.
class PinRelay final : public ProcessorPins {
 public:
  void interrupt_request_changed() override {
    if (pins != nullptr) pins->interrupt_request_changed();
  }
  void nmi() override {
    if (pins != nullptr) pins->nmi();
  }
  void smi() override {
    if (pins != nullptr) pins->smi();
  }
  void init() override {
    if (pins != nullptr) pins->init();
  }
  void startup(u8 vector) override {
    if (pins != nullptr) pins->startup(vector);
  }

  ProcessorPins* pins = nullptr;
};

struct Core {
  Core(unsigned index, const PcSetup& setup, Board& board, Bus& memory, Bus& io)
      : host(fmt::format("apic{}", index).c_str(), board.clock),
        apic(index, index, index == 0, host, board.router, pins, setup.apic_timer, setup.apic),
        port(fmt::format("port{}", index).c_str(), memory, io) {
    host.apic = &apic;
    board.router.attach(index, apic);
  }
  PinRelay pins;
  ApicHost host;
  LocalApic apic;
  BusAdapter port;
};

/// A chip and its shell.
template <class Chip>
struct Mounted {
  template <class... Arguments>
  Mounted(const char* name, Board& board, SimTime latency, Arguments&&... arguments)
      : shell(name, board, latency), chip(std::forward<Arguments>(arguments)...) {
    shell.insert(chip);
  }
  DeviceShell shell;
  Chip chip;
};

/// A chip whose constructor takes its host.
template <class Chip>
struct Hosted {
  template <class... Arguments>
  Hosted(const char* name, Board& board, SimTime latency, Arguments&&... arguments)
      : shell(name, board, latency), chip(shell, std::forward<Arguments>(arguments)...) {
    shell.insert(chip);
  }
  DeviceShell shell;
  Chip chip;
};

template <class Function>
struct HostedPci {
  template <class... Arguments>
  HostedPci(const char* name, Board& board, SimTime latency, Bus& memory, Bus& io, Arguments&&... arguments)
      : shell(name, board, latency), chip(shell, std::forward<Arguments>(arguments)...) {
    shell.insert(chip, memory, io);
  }
  PciShell shell;
  Function chip;
};

struct Disk {
  Disk(unsigned index, const std::string& file, const DiskParameters& p, Board& board, SimTime latency, Bus& memory,
       Bus& io)
      : serial(fmt::format("bunshin-disk{}", index)),
        image(file, p.snapshot),
        blk(fmt::format("disk{}", index).c_str(), board, latency, memory, io, image,
            VirtioBlkTiming{SimTime::from_ns(p.latency), p.bandwidth}, std::span<const char>(serial)) {}
  std::string serial;
  RawImage image;
  HostedPci<VirtioBlk> blk;
};

void put_word(PhysicalMemory& memory, u64 address, u16 value) {
  const std::array<u8, 2> bytes = {static_cast<u8>(value), static_cast<u8>(value >> 8)};
  memory.write(HostPhysical(address), bytes);
}

}  // namespace

void DiskParameters::describe(ParameterVisitor& v) {
  v.boolean("snapshot", snapshot, "keep the guest's writes in memory, so that a run never changes its image");
  v.integer("latency", latency, {1, 1'000'000'000}, "ns", "time of a request, without the transfer");
  v.integer("bandwidth", bandwidth, {1'000, 1'000'000'000'000}, "bytes/s", "transfer rate of a disk");
}

void PcParameters::describe(ParameterVisitor& v) {
  v.integer("isa_latency", isa_latency, {0, 1'000'000}, "ns", "time of an access to an ISA port");
  v.integer("mmio_latency", mmio_latency, {0, 1'000'000}, "ns", "time of a memory-mapped or PCI configuration access");
  v.boolean("hpet", hpet, "high precision event timer at 0xFED00000");
  v.boolean("acpi", acpi, "ACPI tables in memory");
  v.boolean("mp_table", mp_table, "Intel MP 1.4 table in memory");
  v.boolean("com2", com2, "a second serial port at 0x2F8, IRQ 3");
  v.boolean("testdev", testdev, "QEMU's pc-testdev");
  v.boolean("debug_exit", debug_exit, "QEMU's isa-debug-exit");
  v.integer("debug_exit_port", debug_exit_port, {0, 0xfffc}, "", "first of the four ports of isa-debug-exit");
  v.group("disk", disk, "virtio-blk disks");
}

struct Pc::Parts {
  Parts(const PcParameters& p, const PcSetup& s, PhysicalMemory& memory_, PlatformEvents& e);

  void claim_ports();
  void wire();
  void wire_legacy_timers();
  void reset_processors();
  void fill_fw_cfg();
  void write_firmware_data();
  void start_legacy_chips();
  void set_cmos();
  template <class Visit>
  void for_each_device(Visit visit) const;

  PcParameters parameters;
  PcSetup setup;
  PlatformEvents& events;
  Board board;
  Bus memory{"memory_bus"};
  Bus io{"io_bus"};
  BusAdapter dma{"dma", memory, io};
  SimTime isa, mmio;

  Hosted<Pic> pic;
  Mounted<IoApic> io_apic;
  Hosted<Pit> pit;
  Hosted<Rtc> rtc;
  std::optional<Hosted<Hpet>> hpet;
  Hosted<Uart16550> com1;
  std::optional<Hosted<Uart16550>> com2;
  Hosted<I8042> keyboard;
  Hosted<SystemControl> system_control;
  Hosted<AcpiPm> pm;
  Hosted<FwCfg> fw_cfg;
  Mounted<VgaText> vga;
  Mounted<DebugConsole> debug_console;
  Mounted<PostCode> post_code;
  std::optional<Hosted<IsaDebugExit>> debug_exit;
  std::optional<Hosted<PcTestDevice>> testdev;
  Mounted<PciHost> pci;
  HostedPci<PciHostBridge> host_bridge;
  HostedPci<LpcBridge> lpc;
  std::vector<std::unique_ptr<Disk>> disks;
  std::vector<std::unique_ptr<Core>> cores;
  InterruptLines lines;
  bool legacy_replacement = false;  ///< the HPET drives IRQ 0 and 8
  bool pit_level = false;
  bool rtc_level = false;
  std::vector<u8> e820;
};

Pc::Parts::Parts(const PcParameters& p, const PcSetup& s, PhysicalMemory& memory_, PlatformEvents& e)
    : parameters(p),
      setup(s),
      events(e),
      board{memory_, {}, {}, nullptr},
      isa(SimTime::from_ns(p.isa_latency)),
      mmio(SimTime::from_ns(p.mmio_latency)),
      pic("pic", board, isa),
      io_apic("io_apic", board, mmio, board.router),
      pit("pit", board, isa),
      rtc("rtc", board, isa, s.epoch),
      com1("com1", board, isa),
      keyboard("i8042", board, isa),
      system_control("system_control", board, isa),
      pm("acpi_pm", board, isa),
      fw_cfg("fw_cfg", board, isa),
      vga("vga", board, mmio),
      debug_console("debug_console", board, isa),
      post_code("post_code", board, isa),
      pci("pci", board, mmio),
      host_bridge("host_bridge", board, mmio, memory, io, Pc::ecam_base),
      lpc("lpc", board, mmio, memory, io, AcpiPm::pm_base),
      lines(pic.chip, io_apic.chip) {
  board.dma = &dma;
  if (p.hpet) hpet.emplace("hpet", board, mmio);
  if (p.com2) com2.emplace("com2", board, isa);
  if (p.debug_exit) debug_exit.emplace("debug_exit", board, isa);
  if (p.testdev) testdev.emplace("testdev", board, isa);
  board.router.attach(io_apic.chip);
  board.router.attach(pic.chip);
  for (unsigned i = 0; i < s.cores; ++i) cores.push_back(std::make_unique<Core>(i, s, board, memory, io));
  for (unsigned i = 0; i < s.disks.size(); ++i) {
    disks.push_back(std::make_unique<Disk>(i, s.disks[i], p.disk, board, mmio, memory, io));
  }
  claim_ports();
  wire();
  fill_fw_cfg();
  memory_.add_rom(HostPhysical(reset_rom_base), reset_rom());
}

void Pc::Parts::claim_ports() {
  pic.shell.claim(io, 0, 0x20, 2);
  pic.shell.claim(io, 1, 0xa0, 2);
  pic.shell.claim(io, 2, 0x4d0, 2);
  pit.shell.claim(io, 0, 0x40, 4);
  pit.shell.claim(io, 1, 0x61, 1);
  rtc.shell.claim(io, 0, 0x70, 2);
  keyboard.shell.claim(io, 0, 0x60, 1);
  keyboard.shell.claim(io, 1, 0x64, 1);
  com1.shell.claim(io, 0, 0x3f8, 8);
  if (com2) com2->shell.claim(io, 0, 0x2f8, 8);
  system_control.shell.claim(io, 0, 0x92, 1);
  pm.shell.claim(io, 0, AcpiPm::pm_base, AcpiPm::pm_length);
  pm.shell.claim(io, 1, 0xb2, 2);
  fw_cfg.shell.claim(io, 0, 0x510, 2);
  fw_cfg.shell.claim(io, 1, 0x514, 8);
  vga.shell.claim(memory, 0, 0xb8000, VgaText::memory_bytes);
  vga.shell.claim(io, 1, 0x3b0, 0x30);
  debug_console.shell.claim(io, 0, 0xe9, 1);
  post_code.shell.claim(io, 0, 0x80, 1);
  if (debug_exit) debug_exit->shell.claim(io, 0, parameters.debug_exit_port, 4);
  if (testdev) {
    testdev->shell.claim(io, 0, 0xe0, 4);
    testdev->shell.claim(io, 1, 0xe4, 4);
    testdev->shell.claim(io, 2, 0xe8, 1);  // QEMU's has four, over the debug console
    testdev->shell.claim(io, 3, 0x2000, PcTestDevice::lines);
    testdev->shell.claim(memory, 4, 0xff00'0000, PcTestDevice::iomem_bytes);
  }
  pci.shell.claim(io, 0, 0xcf8, 8);
  pci.shell.claim(memory, 1, Pc::ecam_base, PciHost::ecam_bytes);
  io_apic.shell.claim(memory, 0, Pc::io_apic_base, 0x1000);
  if (hpet) hpet->shell.claim(memory, 0, Pc::hpet_base, 0x400);
  pci.chip.connect_reset_control(system_control.chip, 1);
}

void Pc::Parts::wire_legacy_timers() {
  using Source = InterruptLines::Source;
  const auto drive = [this] {
    lines.drive(Source::Isa, 0, pit_level && !legacy_replacement);
    lines.drive(Source::Isa, 8, rtc_level && !legacy_replacement);
  };
  pit.shell.connect(Pit::pin_irq0, [this, drive](bool level) {
    pit_level = level;
    drive();
  });
  rtc.shell.connect(Rtc::pin_irq8, [this, drive](bool level) {
    rtc_level = level;
    pm.chip.set_input(0, level);
    drive();
  });
  if (!hpet) return;
  hpet->shell.connect(Hpet::pin_legacy_replacement, [this, drive](bool level) {
    legacy_replacement = level;
    drive();
  });
  for (unsigned gsi = 0; gsi < InterruptLines::count; ++gsi) {
    hpet->shell.connect(gsi, [this, gsi](bool level) { lines.drive(Source::Hpet, gsi, level); });
  }
}

void Pc::Parts::wire() {
  using Source = InterruptLines::Source;
  const auto isa_line = [this](unsigned irq) {
    return [this, irq](bool level) { lines.drive(Source::Isa, irq, level); };
  };
  wire_legacy_timers();
  keyboard.shell.connect(I8042::pin_irq, isa_line(1));
  com1.shell.connect(0, isa_line(4));
  if (com2) com2->shell.connect(0, isa_line(3));
  pm.shell.connect(AcpiPm::pin_sci, isa_line(AcpiPm::sci_irq));
  for (unsigned pin = 0; testdev && pin < PcTestDevice::lines; ++pin) {
    testdev->shell.connect(pin, [this, pin](bool level) { lines.drive(Source::TestDevice, pin, level); });
  }
  for (unsigned pin = 0; pin < LpcBridge::first_gsi + LpcBridge::pirqs; ++pin) {
    lpc.shell.connect(pin, [this, pin](bool level) {
      if (pin < LpcBridge::first_gsi) {
        lines.drive_pic_only(pin, level);
      } else {
        lines.drive(Source::Pci, pin, level);
      }
    });
  }
  pic.shell.connect(Pic::pin_intr, [this](bool level) {
    for (const auto& core : cores) core->apic.set_input(0, level);
  });
  const auto reset = [this](bool level) {
    if (level) reset_processors();
  };
  keyboard.shell.connect(I8042::pin_reset, reset);
  system_control.shell.connect(SystemControl::pin_reset, reset);
  pm.shell.connect(AcpiPm::pin_power_off, [this](bool level) {
    if (level) events.power_off();
  });
  pm.shell.connect(AcpiPm::pin_suspend, [this](bool) {
    rtc.chip.set_byte(shutdown_status_index, shutdown_suspended);
    for (const auto& core : cores) core->pins.init();
  });
  if (debug_exit) {
    debug_exit->shell.connect(0, [this](bool level) {
      if (level) events.debug_exit(debug_exit->chip.value());
    });
  }
  pci.chip.attach(0, host_bridge.chip);
  pci.chip.attach(lpc_slot << 3, lpc.chip);
  for (unsigned i = 0; i < disks.size(); ++i) {
    const unsigned slot = first_disk_slot + i;
    pci.chip.attach(static_cast<u16>(slot << 3), disks[i]->blk.chip);
    disks[i]->blk.shell.connect(PciFunction::pin_intx,
                                [this, slot](bool level) { lpc.chip.set_input(slot * 4, level); });
  }
}

// An 80286's way out of protected mode: software that has left a restart vector means to go on.
void Pc::Parts::reset_processors() {
  const u8 status = rtc.chip.byte(shutdown_status_index);
  if (status != shutdown_jump && status != shutdown_end_interrupt_and_jump) return events.reset();
  for (const auto& core : cores) core->pins.init();
}

void Pc::Parts::fill_fw_cfg() {
  FwCfg& config = fw_cfg.chip;
  config.add_value(FwCfg::RamSize, 8, board.memory.size());
  config.add_value(FwCfg::NbCpus, 2, cores.size());
  config.add_value(FwCfg::MaxCpus, 2, cores.size());
  const auto entry = [this](u64 base, u64 size, u32 type) {
    for (unsigned i = 0; i < 8; ++i) e820.push_back(static_cast<u8>(base >> (8 * i)));
    for (unsigned i = 0; i < 8; ++i) e820.push_back(static_cast<u8>(size >> (8 * i)));
    for (unsigned i = 0; i < 4; ++i) e820.push_back(static_cast<u8>(type >> (8 * i)));
  };
  entry(0, board.memory.low_size(), 1);
  if (board.memory.high_size() != 0) entry(u64{1} << 32, board.memory.high_size(), 1);
  entry(Pc::ecam_base, PciHost::ecam_bytes, 2);
  config.add_file("etc/e820", e820);
}

void Pc::Parts::set_cmos() {
  Rtc& cmos = rtc.chip;
  const u64 low = board.memory.low_size(), high = board.memory.high_size();
  const auto word = [&cmos](u8 index, u64 value) {
    cmos.set_byte(index, static_cast<u8>(value));
    cmos.set_byte(static_cast<u8>(index + 1), static_cast<u8>(value >> 8));
  };
  constexpr u64 mib = 1 << 20, kib = 1 << 10;
  const u64 extended = low > mib ? std::min<u64>((low - mib) / kib, 0xffff) : 0;
  cmos.set_byte(0x14, 0x06);  // equipment: FPU, 80x25 colour
  word(0x15, 640);
  word(0x17, extended);
  word(0x30, extended);
  word(0x34, low > 16 * mib ? std::min<u64>((low - 16 * mib) / (64 * kib), 0xffff) : 0);
  word(0x5b, high / (64 * kib));
  cmos.set_byte(0x5d, static_cast<u8>(high / (64 * kib) >> 16));
  cmos.set_byte(0x5f, static_cast<u8>(cores.size() - 1));
}

// As a PC's firmware leaves them (IBM PC AT Technical Reference) and QEMU's does: kernels exist that count the 18.2 Hz of
// a timer that they never program, or unmask lines of interrupt controllers that they never initialise.
void Pc::Parts::start_legacy_chips() {
  constexpr u8 initialise = 0x11, mode_8086 = 0x01;
  struct Setting {
    u8 vector, cascade, mask;
  };
  constexpr std::array<Setting, 2> pics{{{0x08, 0x04, 0xb8}, {0x70, 0x02, 0x8e}}};
  for (unsigned i = 0; i < pics.size(); ++i) {
    pic.chip.write(i, 0, 1, initialise);
    for (const u8 word : {pics[i].vector, pics[i].cascade, mode_8086, pics[i].mask}) pic.chip.write(i, 1, 1, word);
  }
  pic.chip.write(2, 1, 1, 1 << (AcpiPm::sci_irq - 8) | 1 << (10 - 8) | 1 << (11 - 8));  // ELCR: SCI and PIRQs
  pit.chip.write(0, 3, 1, 0x34);                                                        // channel 0: mode 2, 65536
  pit.chip.write(0, 0, 1, 0);
  pit.chip.write(0, 0, 1, 0);
  com1.chip.write(0, 4, 1, 0x08);  // OUT2: interrupts reach the PIC
}

void Pc::Parts::write_firmware_data() {
  PhysicalMemory& ram = board.memory;
  // IBM BIOS data area: COM1's port, EBDA segment, equipment, conventional memory in KiB, video mode 3.
  put_word(ram, 0x400, 0x3f8);
  put_word(ram, 0x40e, 0x9fc0);
  put_word(ram, 0x410, 0x0226);
  put_word(ram, 0x413, 639);
  put_word(ram, 0x449, 80 << 8 | 3);
  put_word(ram, 0x463, 0x3d4);
  put_word(ram, 0x9fc00, 1);
  // FFFF:0000, where old software jumps to restart the machine: MOV DX, CF9H; MOV AL, 6; OUT DX, AL; HLT.
  constexpr std::array<u8, 7> restart{0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee, 0xf4};
  ram.write(HostPhysical(0xffff0), restart);
  if (!parameters.acpi && !parameters.mp_table) return;
  FirmwareConfig config;
  config.cores = static_cast<unsigned>(cores.size());
  config.hpet = parameters.hpet;
  config.ecam_base = Pc::ecam_base;
  config.cpu_signature = setup.cpu_signature;
  config.cpu_features = setup.cpu_features;
  config.mp_table = parameters.mp_table;
  FirmwareTables tables = build_firmware_tables(config);
  // Without its root nobody finds the rest.
  if (!parameters.acpi) std::memset(&tables.bytes[FirmwareTables::rsdp - FirmwareTables::base], 0, 36);
  ram.write(HostPhysical(FirmwareTables::base), tables.bytes);
}

template <class Visit>
void Pc::Parts::for_each_device(Visit visit) const {
  visit(pic.shell), visit(io_apic.shell), visit(pit.shell), visit(rtc.shell);
  if (hpet) visit(hpet->shell);
  visit(com1.shell);
  if (com2) visit(com2->shell);
  visit(keyboard.shell), visit(system_control.shell), visit(pm.shell), visit(fw_cfg.shell), visit(vga.shell);
  visit(debug_console.shell), visit(post_code.shell);
  if (debug_exit) visit(debug_exit->shell);
  if (testdev) visit(testdev->shell);
  visit(pci.shell), visit(host_bridge.shell), visit(lpc.shell);
  for (const auto& disk : disks) visit(disk->blk.shell);
}

Pc::Pc(const sc_core::sc_module_name& name, const PcParameters& parameters, const PcSetup& setup,
       PhysicalMemory& memory, PlatformEvents& events)
    : sc_module(name) {
  SIM_CHECK(sc_core::sc_get_time_resolution() == sc_core::sc_time(1, sc_core::SC_PS));
  if (setup.cores < 1 || setup.cores > max_cores) {
    throw std::runtime_error(fmt::format("machine.cores is {}: this board takes 1 to {}", setup.cores, max_cores));
  }
  if (memory.low_size() > pci_hole) {
    throw std::runtime_error(
        fmt::format("RAM reaches into the PCI hole at {:#x}; lower the low limit of memory", pci_hole));
  }
  if (setup.disks.size() > max_disks) {
    throw std::runtime_error(fmt::format("{} disks: this board takes at most {}", setup.disks.size(), max_disks));
  }
  parts_ = std::make_unique<Parts>(parameters, setup, memory, events);
}

Pc::~Pc() = default;

void Pc::connect_processor(unsigned core, ProcessorPins& pins) { parts_->cores.at(core)->pins.pins = &pins; }

void Pc::connect_serial(unsigned port, SerialPort& far_end) {
  if (port == 0) parts_->com1.chip.connect(&far_end);
  if (port == 1 && parts_->com2) parts_->com2->chip.connect(&far_end);
}

void Pc::connect_debug_console(SerialPort& console) { parts_->debug_console.chip.connect(&console); }

bool Pc::serial_input(unsigned port, u8 byte) {
  if (port == 0) return parts_->com1.chip.receive(byte);
  return port == 1 && parts_->com2 && parts_->com2->chip.receive(byte);
}

void Pc::press_power_button() { parts_->pm.chip.press_power_button(); }

void Pc::power_on() {
  Parts& p = *parts_;
  p.lines.reset();
  p.legacy_replacement = p.pit_level = p.rtc_level = false;
  p.for_each_device([](const DeviceShell& shell) { shell.device().reset(); });
  for (const auto& core : p.cores) core->apic.reset();
  p.cores.front()->apic.set_virtual_wire();
  assign_pci_resources(p.pci.chip, pci_windows);
  p.lpc.chip.route_interrupts();
  p.start_legacy_chips();
  p.set_cmos();
  p.write_firmware_data();
}

LocalApic& Pc::apic(unsigned core) { return parts_->cores.at(core)->apic; }
void Pc::set_local_time(unsigned core, SimTime now) { parts_->cores[core]->host.set_local_time(now); }
BusPort& Pc::port(unsigned core) { return parts_->cores.at(core)->port; }
Bus& Pc::memory_bus() { return parts_->memory; }
Bus& Pc::io_bus() { return parts_->io; }
const VgaText& Pc::vga() const { return parts_->vga.chip; }
FwCfg& Pc::fw_cfg() { return parts_->fw_cfg.chip; }
InterruptRouter& Pc::router() { return parts_->board.router; }

std::vector<Pc::AddressRange> Pc::reserved_ranges() const {
  return {{FirmwareTables::base, 0x2'0000}, {ecam_base, PciHost::ecam_bytes}};
}

u64 Pc::rsdp() const { return parts_->parameters.acpi ? FirmwareTables::rsdp : 0; }

void Pc::set_dma_timer(DmaTimer* timer) { parts_->board.dma_timer = timer; }

void Pc::register_stats(StatRegistry& stats) {
  stats.add("devices.memory_bus.unclaimed", parts_->memory.unclaimed(), "", "memory accesses that nothing answered");
  stats.add("devices.io_bus.unclaimed", parts_->io.unclaimed(), "", "port accesses that nothing answered");
  for (unsigned i = 0; i < parts_->disks.size(); ++i) {
    const VirtioBlkCounters& c = parts_->disks[i]->blk.chip.counters();
    const auto add = [&](const char* what, const u64& counter, const char* unit, const char* text) {
      stats.add(fmt::format("devices.disk{}.{}", i, what), counter, unit, text);
    };
    add("reads", c.reads, "", "read requests");
    add("writes", c.writes, "", "write requests");
    add("flushes", c.flushes, "", "flush requests");
    add("errors", c.errors, "", "requests that failed or were refused");
    add("bytes_read", c.bytes_read, "bytes", "bytes read from the disk");
    add("bytes_written", c.bytes_written, "bytes", "bytes written to the disk");
  }
}

void Pc::hash(StateHash& hash) const {
  parts_->for_each_device([&](const DeviceShell& shell) { shell.device().hash(hash); });
  for (const auto& core : parts_->cores) core->apic.hash(hash);
}

}  // namespace bunshin
