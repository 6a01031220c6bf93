// Hostile hypervisors and guests: a VMCS or VMCB, nested tables, bitmaps and a guest's code of which the input changes what it
// likes, before the first entry and behind each exit. Nothing may break the simulator, timed or not.

#include <array>
#include <cstring>

#include "core/system/msr.h"
#include "sim/machine.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/simulation.h"
#include "tests/fuzz/target.h"

namespace {

using namespace bunshin;

constexpr u64 longest_run = 4'000;

// Where things lie in the guest's memory.
constexpr u64 host_code = 0x1000, exit_handler = 0x3000, change_list = 0x4000, change_pointer = 0x6000,
              host_stack = 0x9000, control = 0x1'0000, scratch = 0x1'1000, maps = 0x1'2000, pages = 0x1'8000,
              nested = 0x2'0000, guest_code = 0x3'0000, guest_stack = 0x3'9000, guest_tables = 0x4'0000,
              host_tables = 0x10'0000;
/// Entries of change_list: what the handler of exits takes one after the other.
constexpr unsigned changes = 200;

struct Console final : SerialPort {
  void transmit(u8) override {}
};

class Supervisor final : public RunSupervisor {
 public:
  explicit Supervisor(const Machine& machine) : machine_(machine) {}
  std::optional<RunEnd> look(u64) override { return machine_.guest_request(); }
  void idle(SimTime) override {}
  bool wait_for_input() override { return false; }

 private:
  const Machine& machine_;
};

struct Shape {
  std::string profile;
  bool vmx = false;
  TimingMode timing = TimingMode::None;
};

Shape read_shape(fuzz::Input& input) {
  static const std::string profiles[] = {"skylake", "zen3", "nehalem", "barcelona", "haswell", "p4-672"};
  Shape shape;
  shape.profile = input.pick(profiles);
  shape.vmx = shape.profile != "zen3" && shape.profile != "barcelona";
  constexpr TimingMode modes[] = {TimingMode::None, TimingMode::None, TimingMode::InOrder, TimingMode::OutOfOrder};
  shape.timing = input.pick(modes);
  return shape;
}

const MachineConfig& config_of(const Shape& shape) {
  static std::map<std::string, MachineConfig> known;
  const std::string timing{name_of(shape.timing)};
  const auto found = known.find(shape.profile + timing);
  if (found != known.end()) return found->second;
  const std::string configs = BUNSHIN_CONFIGS;
  MachineConfig config = read_config(configs + "/experiment/multiboot.yaml",
                                     {"include=" + configs + "/cpu/" + shape.profile + ".yaml", "machine.memory=16MiB",
                                      "cpu.frequency=10MHz", "machine.timing=" + timing});
  return known.emplace(shape.profile + timing, config).first->second;
}

class Builder {
 public:
  Builder(PhysicalMemory& memory, fuzz::Input& input) : memory_(memory), input_(input) {}

  void bytes(u64 address, std::span<const u8> data) { memory_.write(HostPhysical(address), data); }
  void bytes(u64 address, std::initializer_list<u8> data) {
    bytes(address, std::span<const u8>(data.begin(), data.size()));
  }
  template <class T>
  void put(u64 address, T value) {
    bytes(address, std::span<const u8>(reinterpret_cast<const u8*>(&value), sizeof value));
  }

  /// The host's paging, and nested tables of two levels of pages, all onto themselves.
  void tables(u64 rights, u64 leaf) {
    put<u64>(host_tables, host_tables + 0x1000 + 7);
    put<u64>(host_tables + 0x1000, host_tables + 0x2000 + 7);
    for (u64 i = 0; i < 512; ++i) put<u64>(host_tables + 0x2000 + i * 8, i << 21 | 0x87);
    put<u64>(nested, nested + 0x1000 + rights);
    put<u64>(nested + 0x1000, nested + 0x2000 + rights);
    for (u64 i = 1; i < 512; ++i) put<u64>(nested + 0x2000 + i * 8, i << 21 | 0x80 | rights | leaf);
    put<u64>(nested + 0x2000, nested + 0x3000 + rights);
    for (u64 i = 0; i < 512; ++i) put<u64>(nested + 0x3000 + i * 8, i << 12 | rights | leaf);
    change(nested, 0x4000, 4);
    change(maps, 0x6000, 4);
    change(guest_tables, 0x1000, 4);
  }
  /// At most `count` changes of 8 bytes in a range.
  void change(u64 base, u64 size, unsigned count) {
    for (unsigned n = input_.byte() % (count + 1); n != 0; --n) {
      const u64 at = base + (input_.word() % size & ~u64{7});
      const u64 value = input_.number(1 + input_.byte() % 8);
      u64 old = 0;
      memory_.read(HostPhysical(at), std::span<u8>(reinterpret_cast<u8*>(&old), 8));
      put<u64>(at, input_.byte() % 2 == 0 ? value : old ^ value);
    }
  }
  /// Most exits only let the guest go on somewhere else in its code: one that is refused runs no instruction.
  bool is_hostile() { return input_.byte() % 4 == 3; }
  /// The guest's instructions: the input's own between some that are likely to leave it.
  void guest() {
    static const std::array<std::vector<u8>, 16> phrases{{{0x0f, 0xa2},
                                                          {0x0f, 0x01, 0xc1},
                                                          {0x0f, 0x01, 0xd9},
                                                          {0xe4, 0x80},
                                                          {0x0f, 0x32},
                                                          {0x0f, 0x30},
                                                          {0x0f, 0x20, 0xd8},
                                                          {0x0f, 0x22, 0xd8},
                                                          {0x0f, 0x22, 0xc0},
                                                          {0xcd, 0x03},
                                                          {0xfb, 0xf4},
                                                          {0x48, 0x8b, 0x07},
                                                          {0x48, 0x89, 0x07},
                                                          {0x0f, 0x01, 0xd8},
                                                          {0x0f, 0x01, 0xd4},
                                                          {0x0f, 0x31}}};
    u64 at = guest_code;
    while (at < guest_code + 512 && !input_.empty()) {
      const u8 kind = input_.byte();
      const std::vector<u8>& phrase = phrases[kind % phrases.size()];
      const std::span<const u8> own = kind < 128 ? std::span<const u8>(phrase) : input_.take(1 + kind % 7);
      bytes(at, own);
      at += own.size();
    }
    bytes(at, {0xeb, 0xfe});
  }

 protected:
  PhysicalMemory& memory_;
  fuzz::Input& input_;
};

class SvmBuilder : public Builder {
 public:
  using Builder::Builder;

  void build() {
    tables(7, 0);
    put<u32>(control + 0x00c, 0xffff'ffff);
    put<u32>(control + 0x010, 3);
    put<u64>(control + 0x040, maps);
    put<u64>(control + 0x048, maps + 0x3000);
    put<u32>(control + 0x058, 1);
    put<u64>(control + 0x090, 1);
    put<u64>(control + 0x0b0, nested);
    segments();
    put<u64>(control + 0x4d0, 0x1500);
    put<u64>(control + 0x548, 0x620);
    put<u64>(control + 0x550, host_tables);
    put<u64>(control + 0x558, 0x8001'0031);
    put<u64>(control + 0x560, 0x400);
    put<u64>(control + 0x568, 0xffff'0ff0);
    put<u64>(control + 0x570, 2);
    put<u64>(control + 0x578, guest_code);
    put<u64>(control + 0x5d8, guest_stack);
    put<u64>(control + 0x668, 0x0007'0406'0007'0406);
    change(control, 0x0f0, 8);
    change(control + 0x400, 0x2a0, 8);
    // mov esi, pointer; mov rdi, [rsi]; add qword [rsi], 16; mov edx, [rdi]; and edx, 0ff8h; mov rax, [rdi + 8]
    // mov [rdx + control], rax; mov eax, control; vmrun; stgi; clgi; jmp back
    bytes(host_code, {0xb8, 0x00, 0x00, 0x01, 0x00, 0x0f, 0x01, 0xd8});
    bytes(host_code + 8, {0xbe,
                          0x00,
                          0x60,
                          0x00,
                          0x00,
                          0x48,
                          0x8b,
                          0x3e,
                          0x48,
                          0x83,
                          0x06,
                          0x10,
                          0x8b,
                          0x17,
                          0x81,
                          0xe2,
                          0xf8,
                          0x0f,
                          0x00,
                          0x00,
                          0x48,
                          0x8b,
                          0x47,
                          0x08,
                          0x48,
                          0x89,
                          0x82,
                          0x00,
                          0x00,
                          0x01,
                          0x00,
                          0xb8,
                          0x00,
                          0x00,
                          0x01,
                          0x00,
                          0x0f,
                          0x01,
                          0xd8,
                          0x0f,
                          0x01,
                          0xdc,
                          0x0f,
                          0x01,
                          0xdd,
                          0xeb,
                          static_cast<u8>(-47)});
    for (unsigned i = 0; i < changes; ++i) {
      const bool hostile = is_hostile();
      const u64 at = !hostile ? 0x578 : input_.byte() % 2 == 0 ? input_.byte() & 0xf8 : 0x400 + input_.word() % 0x2a0;
      put<u64>(change_list + i * 16, at);
      put<u64>(change_list + i * 16 + 8, hostile ? input_.number(1 + input_.byte() % 8) : guest_code + input_.byte());
    }
  }
  static void registers(CpuState& s) { s.msr.efer |= efer::SVME; }

 private:
  void segments() {
    constexpr u16 code = 0xa9b, data = 0xc93;
    for (unsigned i = 0; i < 6; ++i) {
      put<u16>(control + 0x400 + i * 16, i == 1 ? 8 : 16);
      put<u16>(control + 0x402 + i * 16, i == 1 ? code : data);
      put<u32>(control + 0x404 + i * 16, 0xffff'ffff);
    }
    for (const u64 table : {0x460, 0x480}) {
      put<u32>(control + table + 4, 0xfff);
      put<u64>(control + table + 8, guest_tables);
    }
  }
};

class VmxBuilder : public Builder {
 public:
  VmxBuilder(PhysicalMemory& memory, fuzz::Input& input, Cpu& cpu) : Builder(memory, input), cpu_(cpu) {}

  void build() {
    tables(7, 6 << 3);
    const u32 revision = static_cast<u32>(capability(0x480)) & 0x7fff'ffff;
    put<u32>(control, revision);
    put<u32>(scratch, revision);
    put<u64>(change_pointer + 16, control);
    put<u64>(change_pointer + 24, scratch);
    // vmxon [pointer + 24]; vmclear [pointer + 16]; vmptrld [pointer + 16]
    bytes(host_code, {0xf3, 0x0f, 0xc7, 0x34, 0x25, 0x18, 0x60, 0x00, 0x00});
    bytes(host_code + 9, {0x66, 0x0f, 0xc7, 0x34, 0x25, 0x10, 0x60, 0x00, 0x00});
    bytes(host_code + 18, {0x0f, 0xc7, 0x34, 0x25, 0x10, 0x60, 0x00, 0x00});
    // mov esi, list; mov ecx, count; 1: lodsq; mov rdx, rax; lodsq; vmwrite rdx, rax; loop 1b; mov [pointer], rsi; vmlaunch
    bytes(host_code + 26, {0xbe, 0x00, 0x40, 0x00, 0x00, 0xb9});
    const unsigned fields = fill_list();
    put<u32>(host_code + 32, fields);
    bytes(host_code + 36, {0x48, 0xad, 0x48, 0x89, 0xc2, 0x48, 0xad, 0x0f, 0x79, 0xd0, 0xe2, static_cast<u8>(-12)});
    bytes(host_code + 48, {0x48, 0x89, 0x34, 0x25, 0x00, 0x60, 0x00, 0x00, 0x0f, 0x01, 0xc2});
    static constexpr u8 change_one[] = {0xbe, 0x00, 0x60, 0x00, 0x00, 0x48, 0x8b, 0x3e, 0x48, 0x83, 0x06, 0x10, 0x48,
                                        0x8b, 0x17, 0x48, 0x8b, 0x47, 0x08, 0x0f, 0x79, 0xd0, 0x0f, 0x78, 0xd0};
    // An entry that failed, and an exit: change a field, read one, and enter again.
    for (const u64 at : {host_code + 59, exit_handler}) {
      bytes(at, std::span<const u8>(change_one));
      bytes(at + sizeof change_one, {0x0f, 0x01, 0xc3, 0x0f, 0x01, 0xc2, 0xeb, static_cast<u8>(-33)});
    }
  }
  static void registers(CpuState& s) {
    s.cr0 |= cr0::NE;
    s.cr4 |= cr4::VMXE;
    s.msr.feature_control = 5;
  }

 private:
  static constexpr u64 guest_rip = 0x681e;

  u64 capability(u32 index) const {
    u64 value = 0;
    static_cast<void>(read_msr(cpu_, index, value));
    return value;
  }
  u64 legal(u32 index, u64 wanted) const {
    const u64 allowed = capability(index);
    return (wanted | (allowed & 0xffff'ffff)) & allowed >> 32;
  }
  void field(u64 encoding, u64 value) {
    if (count_ >= changes) return;
    put<u64>(change_list + count_ * 16, encoding);
    put<u64>(change_list + count_ * 16 + 8, value);
    ++count_;
  }
  /// Fields of a guest that could run, then the input's; returns how many are written before the first entry.
  unsigned fill_list() {
    const bool secondary = (capability(0x482) >> 63 & 1) != 0;
    const u64 wanted = secondary ? input_.dword() & (capability(0x48b) >> 32) : 0;
    field(0x4000, legal(0x481, input_.byte()));
    field(0x4002, legal(0x482, u64{secondary} << 31 | input_.dword()));
    if (secondary) field(0x401e, legal(0x48b, wanted | 2));
    field(0x400c, legal(0x483, 1u << 9));
    field(0x4012, legal(0x484, 1u << 9));
    for (const u64 encoding :
         {0x4004, 0x4006, 0x4008, 0x400a, 0x400e, 0x4010, 0x4014, 0x4016, 0x6000, 0x6002, 0x4824, 0x4826,
          0x482a, 0x6822, 0x6824, 0x6826, 0x2802, 0x4c00, 0x6c06, 0x6c08, 0x6c0a, 0x6c10, 0x6c12}) {
      field(encoding, 0);
    }
    addresses();
    for (unsigned i = 0; i < 8; ++i) segment(i);
    for (unsigned i = 0; i < 6; ++i) field(0xc00 + 2 * i, i == 1 ? 8 : 16);
    field(0xc0c, 0x18);
    for (const u64 base : {0x6800, 0x6c00}) {
      field(base, cpu_.state.cr0);
      field(base + 2, host_tables);
      field(base + 4, cpu_.state.cr4);
    }
    field(0x681a, 0x400);
    field(0x6820, 2);
    field(guest_rip, guest_code);
    field(0x681c, guest_stack);
    field(0x6c14, host_stack);
    field(0x6c16, exit_handler);
    const unsigned own = input_.byte() % 8;
    const unsigned first = count_ + own;
    while (count_ < changes) {
      if (is_hostile())
        field(random_field(), input_.number(1 + input_.byte() % 8));
      else
        field(guest_rip, guest_code + input_.byte());
    }
    return std::min(first, changes);
  }
  void addresses() {
    field(0x2000, maps);
    field(0x2002, maps + 0x1000);
    field(0x2004, maps + 0x2000);
    field(0x2012, pages);
    field(0x2014, pages + 0x1000);
    field(0x201a, nested + 0x1e);
    field(0x2800, ~u64{0});
    for (const u64 encoding : {0x4810, 0x4812}) field(encoding, 0xfff);
    for (const u64 encoding : {0x6816, 0x6818, 0x6c0c, 0x6c0e}) field(encoding, guest_tables);
  }
  void segment(unsigned i) {
    constexpr u64 code = 0xa09b, data = 0xc093, task = 0x8b, unusable = 0x1'0000;
    field(0x800 + 2 * i, i == 1 ? 8 : i == 7 ? 0x18 : i == 6 ? 0 : 16);
    field(0x4800 + 2 * i, i == 7 ? 0x67 : 0xffff'ffff);
    field(0x4814 + 2 * i, i == 1 ? code : i == 7 ? task : i == 6 ? unusable : data);
    field(0x6806 + 2 * i, 0);
  }
  u64 random_field() {
    constexpr u16 rows[] = {0x0000, 0x0800, 0x0c00, 0x2000, 0x2400, 0x2800, 0x2c00, 0x4000, 0x4400,
                            0x4800, 0x4c00, 0x6000, 0x6400, 0x6800, 0x6c00, 0x4000, 0x6800, 0x2000};
    return input_.pick(rows) + input_.byte() % 0x38;
  }

  Cpu& cpu_;
  unsigned count_ = 0;
};

void enter_long_mode(Processor& processor) {
  CpuState& s = processor.state();
  constexpr u32 flat = Segment::code_or_data | Segment::present | Segment::granularity;
  s.seg.fill({0x10, flat | Segment::big | 3, 0xffff'ffff, 0});
  s.segment(Seg::CS) = {0x08, flat | Segment::long_mode | 0xb, 0xffff'ffff, 0};
  s.cr3 = host_tables;
  s.cr4 = cr4::PAE | cr4::OSFXSR;
  s.cr0 |= cr0::PE | cr0::PG;
  s.cr0 &= ~(cr0::CD | cr0::NW);
  s.msr.efer = efer::LME | efer::LMA;
  s.rip = host_code;
  s.gpr[RSP] = host_stack;
}

void run_input(fuzz::Input input) {
  const fuzz::Simulation simulation;
  const Shape shape = read_shape(input);
  const MachineConfig& config = config_of(shape);
  Console console;
  Machine machine(config, console, longest_run * (shape.timing == TimingMode::None ? 1 : 20));
  Processor& processor = *machine.processors().front();
  PhysicalMemory& memory = processor.cpu().memory;
  enter_long_mode(processor);
  if (shape.vmx) {
    VmxBuilder::registers(processor.state());
    VmxBuilder builder(memory, input, processor.cpu());
    builder.build();
    builder.guest();
  } else {
    SvmBuilder::registers(processor.state());
    SvmBuilder builder(memory, input);
    builder.put<u64>(change_pointer, change_list);
    builder.build();
    builder.guest();
    static_cast<void>(write_msr(processor.cpu(), 0xc001'0117, scratch));
  }
  processor.state_changed();
  Supervisor supervisor(machine);
  static_cast<void>(machine.run(supervisor));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
  run_input(fuzz::Input(data, size));
  return 0;
}
