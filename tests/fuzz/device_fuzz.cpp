// Whatever a guest does to the board's registers, rings and interrupt lines, nothing breaks, and the same accesses give
// the same answers. The whole board: every chip, two processors' local APICs, a disk.

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <string>

#include "base/check.h"
#include "devices/tlm/pc.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/simulation.h"
#include "tests/fuzz/target.h"

namespace {

using namespace bunshin;
using bunshin::fuzz::Input;

constexpr u64 ram_bytes = u64{4} << 20;
constexpr u64 fuzzed_bytes = 0x10000;  ///< where rings and buffers lie
constexpr unsigned cores = 2;
constexpr unsigned max_operations = 400;
/// Time passes by events: a timer of the shortest period would otherwise make a second of the guest an hour.
constexpr unsigned max_events = 32;
constexpr unsigned disk_slot = 2, lpc_slot = 31;

struct Place {
  u64 base;
  u64 size;
};
constexpr Place ports[] = {{0x20, 2},  {0xa0, 2},  {0x4d0, 2},    {0x40, 4},   {0x61, 1},    {0x70, 2},
                           {0x60, 1},  {0x64, 1},  {0x3f8, 8},    {0x2f8, 8},  {0x92, 1},    {0xb2, 2},
                           {0x510, 2}, {0x514, 8}, {0x3b0, 0x30}, {0xe9, 1},   {0x80, 1},    {0xf4, 4},
                           {0xe0, 12}, {0xcf8, 8}, {0x2000, 32},  {0x600, 64}, {0xc000, 64}, {0, 0x10000}};
constexpr Place windows[] = {{0xa0000, 0x20000},
                             {Pc::pci_hole, 0x8000},
                             {Pc::ecam_base, 0x1000},
                             {Pc::ecam_base + (u64{disk_slot} << 15), 0x1000},
                             {Pc::ecam_base + (u64{lpc_slot} << 15), 0x1000},
                             {Pc::ecam_base, 0x1000'0000},
                             {Pc::io_apic_base, 0x1000},
                             {Pc::hpet_base, 0x400},
                             {0xfee0'0000, 0x10'0000},
                             {0xff00'0000, 0x10000},
                             {0, ~u64{0}}};

/// A disk of 64 KiB that no file system has to hold.
class MemoryFile {
 public:
  MemoryFile() : descriptor_(memfd_create("disk", 0)) { SIM_CHECK(ftruncate(descriptor_, 0x10000) == 0); }
  ~MemoryFile() { close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::string name() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

struct Events final : PlatformEvents {
  void power_off() override { hash.add(1); }
  void reset() override { hash.add(2); }
  void debug_exit(u32 value) override { hash.add(u64{3} << 32 | value); }
  StateHash hash;
};

struct Console final : SerialPort {
  void transmit(u8 byte) override { hash.add(byte); }
  StateHash hash;
};

struct Pins final : ProcessorPins {
  void interrupt_request_changed() override {}
  void nmi() override { hash.add(1); }
  void smi() override { hash.add(2); }
  void init() override { hash.add(3); }
  void startup(u8 vector) override { hash.add(u64{4} << 8 | vector); }
  StateHash hash;
};

PcSetup setup(const MemoryFile& disk) {
  PcSetup s;
  s.cores = cores;
  s.apic_timer = Clock{25'000'000};
  s.disks = {disk.name()};
  return s;
}

PcParameters parameters() {
  PcParameters p;
  p.com2 = true;
  return p;
}

class Bench {
 public:
  explicit Bench(const MemoryFile& disk) : pc_("pc", parameters(), setup(disk), memory_, events_) {
    for (unsigned i = 0; i < cores; ++i) pc_.connect_processor(i, pins_[i]);
    pc_.connect_serial(0, console_);
    pc_.connect_serial(1, console_);
    pc_.connect_debug_console(console_);
    pc_.power_on();
    sc_core::sc_start(sc_core::SC_ZERO_TIME);
  }

  u64 run(Input input) {
    for (unsigned i = 0; i < max_operations && !input.empty(); ++i) operation(input);
    pc_.hash(seen_);
    std::array<u8, page_size> page;
    for (u64 at = 0; at < fuzzed_bytes; at += page.size()) {
      memory_.read(HostPhysical(at), page);
      seen_.add(std::span<const u8>(page));
    }
    for (const StateHash& h : {events_.hash, console_.hash, pins_[0].hash, pins_[1].hash}) seen_.add(h.value());
    return seen_.value();
  }

 private:
  void operation(Input& input) {
    switch (input.byte() % 12) {
      case 0:
      case 1: read(BusSpace::Io, input.pick(ports), input); break;
      case 2:
      case 3: write(BusSpace::Io, input.pick(ports), input); break;
      case 4: read(BusSpace::Memory, input.pick(windows), input); break;
      case 5:
      case 6: write(BusSpace::Memory, input.pick(windows), input); break;
      case 7: configuration_access(input); break;
      case 8: fill_memory(input); break;
      case 9: local_apic(input); break;
      case 10: start_disk(input); break;
      default: outside(input); break;
    }
  }

  void read(BusSpace space, const Place& place, Input& input) {
    const unsigned size = 1u << input.byte() % (space == BusSpace::Io ? 3 : 4);
    const u64 address = place.base + input.number(place.size > 0x1'0000 ? 8 : 2) % place.size;
    seen_.add(load(space, address, size));
  }

  void write(BusSpace space, const Place& place, Input& input) {
    const unsigned size = 1u << input.byte() % (space == BusSpace::Io ? 3 : 4);
    const u64 address = place.base + input.number(place.size > 0x1'0000 ? 8 : 2) % place.size;
    store(space, address, size, input.number(size));
  }

  u64 load(BusSpace space, u64 address, unsigned size) {
    SimTime delay;
    return pc_.port(0).read(space, address, size, delay);
  }
  void store(BusSpace space, u64 address, unsigned size, u64 value) {
    SimTime delay;
    pc_.port(0).write(space, address, size, value, delay);
  }

  /// Mechanism 1.
  void configuration_access(Input& input) {
    constexpr u32 slots[] = {0, disk_slot, lpc_slot};
    const u8 how = input.byte();
    const u32 slot = (how & 0xc0) == 0 ? input.byte() % 32u : slots[how % 3];
    const u8 offset = input.byte();
    store(BusSpace::Io, 0xcf8, 4, u64{1} << 31 | slot << 11 | (offset & 0xfcu));
    const unsigned size = 1u << how / 8 % 3;
    if ((how & 4) != 0) {
      store(BusSpace::Io, 0xcfc + (offset & 3u), size, input.number(size));
    } else {
      seen_.add(load(BusSpace::Io, 0xcfc + (offset & 3u), size));
    }
  }

  /// Within the first 64 KiB, where the rings of start_disk() lie.
  void fill_memory(Input& input) {
    const u64 address = input.word();
    memory_.write(HostPhysical(address), input.take(1 + input.byte() % 64));
  }

  void local_apic(Input& input) {
    const u8 how = input.byte();
    LocalApic& apic = pc_.apic(how % cores);
    pc_.set_local_time(how % cores, SimTime{sc_core::sc_time_stamp().value()});
    switch (how / 2 % 8) {
      case 0: seen_.add(apic.read(0, input.word() & 0xff0u, 4)); break;
      case 1: apic.write(0, input.word() & 0xff0u, 4, input.dword()); break;
      case 2: {
        u64 value = 0;
        seen_.add(apic.read_msr(0x800 + input.byte(), value));
        seen_.add(value);
        break;
      }
      case 3: seen_.add(apic.write_msr(0x800 + input.byte(), input.qword())); break;
      case 4: seen_.add(apic.set_base_msr((u64{0xfee0'0000} & ~u64{0xfff}) | (input.word() & 0xfffu))); break;
      case 5: apic.set_tsc_deadline(input.dword(), SimTime{sc_core::sc_time_stamp().value() + input.dword()}); break;
      case 6:
        if (apic.interrupt_pending()) seen_.add(apic.acknowledge());
        break;
      default: apic.init_reset(); break;
    }
  }

  /// What a driver does before it uses the disk, but for what the input says of the ring: its size, where it lies, and
  /// one request. The rings lie where fill_memory() reaches them, or in the device's own registers.
  void start_disk(Input& input) {
    const u64 bar = Pc::pci_hole;
    const u64 configuration = Pc::ecam_base + (u64{disk_slot} << 15);
    store(BusSpace::Memory, configuration + 4, 2, 6);
    store(BusSpace::Memory, configuration + 0x10, 4, bar);
    store(BusSpace::Memory, configuration + 0x14, 4, 0);
    const u8 how = input.byte();
    for (const u64 status : {0, 1, 3}) store(BusSpace::Memory, bar + 0x14, 1, status);
    for (const u64 half : {0, 1}) {
      store(BusSpace::Memory, bar + 0x08, 4, half);
      store(BusSpace::Memory, bar + 0x0c, 4, half != 0 ? 1 : input.dword());
    }
    store(BusSpace::Memory, bar + 0x14, 1, 11);
    store(BusSpace::Memory, bar + 0x16, 2, 0);
    store(BusSpace::Memory, bar + 0x18, 2, 1u << how % 9);
    const u64 ring_base = (how & 0xf0) == 0 ? bar + 0xff0 : 0x1000;
    for (unsigned ring = 0; ring < 3; ++ring) {
      store(BusSpace::Memory, bar + 0x20 + 8 * ring, 4, ring_base + 0x1000 * ring);
      store(BusSpace::Memory, bar + 0x24 + 8 * ring, 4, 0);
    }
    store(BusSpace::Memory, bar + 0x1c, 2, 1);
    store(BusSpace::Memory, bar + 0x14, 1, 15);
    const std::array<u8, 4> one_available{0, 0, 1, 0};
    memory_.write(HostPhysical(0x2000), one_available);
    memory_.write(HostPhysical(0x1000), input.take(3 * 16));
    store(BusSpace::Memory, bar + 0x1000, 2, 0);
  }

  void outside(Input& input) {
    const u8 how = input.byte();
    switch (how % 8) {
      case 0: seen_.add(pc_.serial_input(how / 8 % 2, input.byte())); break;
      case 1: pc_.press_power_button(); break;
      default: pass_time(u64{1} << (how / 8 % 32 + 10)); break;
    }
  }

  void pass_time(u64 ps) {
    const u64 end = sc_core::sc_time_stamp().value() + ps;
    for (unsigned i = 0; i < max_events; ++i) {
      const u64 now = sc_core::sc_time_stamp().value();
      const u64 next = sc_core::sc_time_to_pending_activity(sc_core::sc_get_curr_simcontext()).value();
      sc_core::sc_start(sc_core::sc_time::from_value(std::min(next, end - now)));
      if (next > end - now) return;
    }
  }

  PhysicalMemory memory_{ram_bytes};
  Events events_;
  Console console_;
  std::array<Pins, cores> pins_;
  Pc pc_;
  StateHash seen_;
};

u64 run_once(const Input& input, const MemoryFile& disk) {
  const fuzz::Simulation simulation;
  Bench bench(disk);
  return bench.run(input);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
  static const MemoryFile disk;
  const Input input(data, size);
  const u64 first = run_once(input, disk);
  // To build a board costs more than to run an input: one in eight shows that runs repeat.
  if (size % 8 == 0) SIM_CHECK(run_once(input, disk) == first);
  return 0;
}
