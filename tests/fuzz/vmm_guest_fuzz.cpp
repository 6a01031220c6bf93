// A hostile guest: exits of any kind, with any registers, code and page tables. The hypervisor goes on, its handlers, devices and
// paging modes touch only the guest's memory, and the tables that hardware walks lead nowhere else.

#include "tests/fuzz/input.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/vmm_memory.h"
#include "vmm-model/guest.h"
#include "vmm-model/paging/nested_paging.h"
#include "vmm-model/paging/shadow_paging.h"
#include "vmm-model/paging/virtual_tlb.h"

namespace {

using namespace bunshin;
using vmm::ExitReason;
using vmm::StateField;

constexpr SimTime slice = SimTime::from_ns(100'000'000'000), longest = SimTime::from_ns(50'000'000'000);
constexpr u64 table_pages = 0x2000;  ///< the guest's page tables: eight pages from here

// Instructions on memory at RDI, or that exit by themselves.
constexpr std::array<std::array<u8, 6>, 64> phrases{{
    // MOV, XCHG, CMPXCHG, CMPXCHG8B and 16B, XADD, BTS, ADD, NOT, SETcc, CMOVcc, MOVBE.
    {0x89, 0x07},
    {0x8b, 0x07},
    {0xc7, 0x07, 0x67},
    {0x87, 0x07},
    {0xf0, 0x0f, 0xb1, 0x0f},
    {0x0f, 0xc7, 0x0f},
    {0x48, 0x0f, 0xc7, 0x0f},
    {0x0f, 0xc1, 0x07},
    {0x0f, 0xab, 0x07},
    {0x48, 0x0f, 0xab, 0x07},
    {0x48, 0x01, 0x07},
    {0xf7, 0x17},
    {0x0f, 0x94, 0x07},
    {0x0f, 0x44, 0x07},
    {0x0f, 0x38, 0xf1, 0x07},
    // RCL, SHLD, MUL, DIV, IDIV, IMUL, CRC32, XLAT, BOUND, CLFLUSH, MOV from a segment.
    {0xd3, 0x17},
    {0x0f, 0xa5, 0x07},
    {0xf7, 0x27},
    {0xf7, 0x37},
    {0x48, 0xf7, 0x3f},
    {0x0f, 0xaf, 0x07},
    {0xf2, 0x0f, 0x38, 0xf1, 0x07},
    {0xd7},
    {0x62, 0x07},
    {0x0f, 0xae, 0x3f},
    {0x8c, 0x17},
    // PUSH, POP, PUSHA, POPA, PUSHF, POPF, ENTER, LEAVE, CALL, JMP, RET, LOOP.
    {0xff, 0x37},
    {0x8f, 0x07},
    {0x50},
    {0x60},
    {0x61},
    {0x9c},
    {0x9d},
    {0xc8, 0x40, 0x00, 0x1f},
    {0xc9},
    {0xff, 0x17},
    {0xff, 0x27},
    {0xc2, 0x10, 0x00},
    {0xe2, 0x10},
    // Strings.
    {0xf3, 0xab},
    {0xf3, 0xa5},
    {0xf3, 0xa4},
    {0xf3, 0xa7},
    {0xf2, 0xae},
    {0xf3, 0x6d},
    {0xf3, 0x6f},
    // MOVUPS, MOVQ of MMX, PEXTRD, VMOVUPS, VMASKMOVPS, MASKMOVDQU, LDMXCSR, FLDCW.
    {0x0f, 0x10, 0x07},
    {0x0f, 0x11, 0x07},
    {0x0f, 0x7f, 0x07},
    {0x66, 0x0f, 0x3a, 0x16, 0x07, 0x01},
    {0xc5, 0xfc, 0x11, 0x07},
    {0xc4, 0xe2, 0x6d, 0x2e, 0x07},
    {0x66, 0x0f, 0xf7, 0xc1},
    {0x0f, 0xae, 0x17},
    {0xd9, 0x2f},
    // Control registers, INVLPG, CPUID, HLT, MSRs, a far CALL.
    {0x0f, 0x22, 0xc0},
    {0x0f, 0x22, 0xd8},
    {0x0f, 0x22, 0xe0},
    {0x0f, 0x20, 0xd8},
    {0x0f, 0x01, 0x38},
    {0x0f, 0xa2},
    {0xf4},
    {0x0f, 0x30},
    {0xff, 0x1f},
}};

/// What a processor would do until it exits, told by the input.
class Script {
 public:
  Script(fuzz::Input& input, fuzz::GuardedMachine& machine, bool nested)
      : input_(input), machine_(machine), nested_(nested) {}

  vmm::Exit operator()(vmm::StillProcessor& cpu) {
    vmm::Exit exit;
    exit.reason = ExitReason::Interrupt;
    if (input_.empty()) {
      machine_.machine.time = slice;
      return exit;
    }
    machine_.machine.time.ps += input_.word() * u64{100'000};
    for (unsigned i = input_.byte() % 4; i > 0; --i) change(cpu);
    if (input_.byte() % 2 == 0) put_code(cpu);
    if (input_.byte() % 4 == 0) exit.interrupted = event();
    describe(exit);
    return exit;
  }

 private:
  u64 number() {
    switch (input_.byte() % 8) {
      case 0: return input_.byte();
      case 1: return table_pages + input_.word() % 0x8000;
      case 2: return 0xfee0'0000 + input_.word() % 0x1000;
      case 3: return 0xfec0'0000 + input_.byte();
      case 4: return fuzz::GuardedMachine::largest - 8 + input_.byte() % 16;
      case 5: return 0xb8000 + input_.word() % 0x9000;
      case 6: return 0xe000'0000 + input_.dword() % 0x200'0000;
      default: return input_.qword();
    }
  }
  /// An entry that leads to the guest's tables, to its memory, or anywhere.
  u64 table_entry() {
    const u64 flags = input_.word() % 0x400 | (input_.byte() % 8 == 0 ? 0 : 7);
    const u64 high = u64{input_.byte() % 8 == 0} << 63;
    switch (input_.byte() % 4) {
      case 0: return (number() & ~u64{0xfff}) | flags | high;
      case 1: return (input_.dword() % fuzz::GuardedMachine::largest & ~u64{0xfff}) | flags | high;
      default: return (table_pages + 0x1000 * (input_.byte() % 8)) | flags | high;
    }
  }
  void change(vmm::StillProcessor& cpu) {
    constexpr std::array<StateField, 8> own{
        StateField::rip, StateField::rflags,           StateField::cpl,          StateField::dr6, StateField::dr7,
        StateField::cr2, StateField::interrupt_shadow, StateField::task_priority};
    constexpr std::array<StateField, 4> controls{StateField::cr0, StateField::cr3, StateField::cr4, StateField::efer};
    switch (input_.byte() % 7) {
      case 0: cpu.registers[input_.byte()] = number(); break;
      case 1: {
        const StateField field = own[input_.byte() % own.size()];
        const u64 mask = field == StateField::cpl                ? 3
                         : field == StateField::interrupt_shadow ? 1
                         : field == StateField::task_priority    ? 15
                                                                 : ~u64{0};
        cpu.set(field, number() & mask);
        break;
      }
      case 2:
        // Where the guest owns its control registers they change without an exit.
        if (nested_) cpu.set(controls[input_.byte() % controls.size()], number());
        break;
      case 3: {
        const u64 at = table_pages + input_.word() % 0x8000 / 8 * 8;
        machine_.memory.store(GuestPhysical(at), 8, table_entry());
        break;
      }
      case 4: put_code(cpu); break;
      case 5:
        cpu.set_segment(static_cast<vmm::SegmentName>(input_.byte() % 10),
                        {input_.word(), static_cast<u16>(input_.word() & 0xfff), input_.dword(), number()});
        break;
      default: machine_.memory.store(GuestPhysical(number()), 8, input_.qword()); break;
    }
  }
  /// Where the guest goes on, if it does not page: one of the instructions that exits are about, or any bytes.
  void put_code(vmm::StillProcessor& cpu) {
    const u64 rip = cpu.get(StateField::rip) % (fuzz::GuardedMachine::largest - 32);
    const std::array<u8, 6>& phrase = phrases[input_.byte() % phrases.size()];
    const bool any = input_.byte() % 4 == 0;
    for (unsigned i = 0; i < 16; ++i) {
      const u8 byte = any || i >= phrase.size() ? input_.byte() : phrase[i];
      machine_.memory.store(GuestPhysical(rip + i), 1, byte);
    }
  }
  vmm::Event event() {
    switch (input_.byte() % 4) {
      case 0: return vmm::Event::interrupt(input_.byte());
      case 1: return vmm::Event::nmi();
      case 2: return vmm::Event::exception(input_.byte() % 32, input_.byte());
      default: return {vmm::Event::Kind::Software, input_.byte(), false, 0};
    }
  }
  void describe(vmm::Exit& exit) {
    do {
      exit.reason = static_cast<ExitReason>(input_.byte() % (static_cast<unsigned>(ExitReason::EntryFailure) + 1));
    } while (!input_.empty() && exit.reason == (nested_ ? ExitReason::PageFault : ExitReason::SecondStageFault));
    const bool ends = exit.reason == ExitReason::Shutdown || exit.reason == ExitReason::EntryFailure;
    if (input_.byte() % 4 == 0 || (ends && input_.byte() % 16 != 0))
      exit.reason = nested_ ? ExitReason::SecondStageFault : ExitReason::PageFault;
    exit.address = number();
    exit.error_code = input_.byte() & 0x1f;
    exit.number = exit.reason == ExitReason::ReadControl || exit.reason == ExitReason::WriteControl
                      ? input_.byte() % 9
                      : input_.byte() % 32;
    exit.length = input_.byte() % 16;
    exit.port = {input_.word(), static_cast<u8>(1 << input_.byte() % 3), input_.byte() % 2 == 0, input_.byte() % 4 == 0,
                 input_.byte() % 2 == 0};
    exit.task = {input_.word(), static_cast<vmm::TaskSwitchCause>(input_.byte() % 4), input_.byte() % 2 == 0,
                 input_.byte()};
  }

  fuzz::Input& input_;
  fuzz::GuardedMachine& machine_;
  const bool nested_;
};

/// Every leaf is the guest's memory, every table one of the pool's.
void check_tables(fuzz::GuardedMachine& machine, u64 table, unsigned level) {
  constexpr u64 address_bits = 0x000f'ffff'ffff'f000;
  SIM_CHECK(table >= fuzz::GuardedMachine::tables && table < fuzz::GuardedMachine::tables_end);
  for (unsigned i = 0; i < 512; ++i) {
    const u64 entry = machine.machine.load(HostPhysical(table + 8 * i), 8);
    if ((entry & pte::P) == 0) continue;
    const bool leaf = level == 1 || (level < 4 && (entry & pte::PS) != 0);
    if (!leaf) {
      check_tables(machine, entry & address_bits, level - 1);
      continue;
    }
    const u64 bytes = u64{4096} << (9 * (level - 1)), begin = entry & address_bits & ~(bytes - 1);
    SIM_CHECK(begin >= fuzz::GuardedMachine::guest_begin && begin + bytes <= machine.guest_end());
  }
}

void run_guest(fuzz::Input& input, fuzz::GuardedMachine& machine, vmm::StillProcessor& cpu, vmm::GuestPaging& paging) {
  const HostPhysical area = machine.pool.allocate();
  vmm::VirtualPcSetup setup;
  setup.apic = {true, true, 36};
  vmm::Guest guest("guest", machine.machine, machine.memory, cpu, paging, setup, area, longest, false);
  if (!guest.power_on()) return;
  while (guest.state() == vmm::GuestState::Ready || guest.state() == vmm::GuestState::Halted) {
    guest.run(slice);
    if (machine.machine.time >= slice) break;
    if (guest.state() == vmm::GuestState::Halted) {
      machine.machine.time.ps += 1'000'000'000;
      guest.wake(machine.machine.time);
      if (input.empty()) break;
    }
  }
}

/// One guest until it ends or the input does.
void one_guest(fuzz::Input& input) {
  const u8 mode = input.byte() % 3;
  fuzz::GuardedMachine machine(fuzz::GuardedMachine::largest);
  vmm::StillProcessor cpu;
  cpu.set(StateField::cr0, 0x11);
  cpu.set(StateField::rip, 0x10'0000);
  cpu.set(StateField::rflags, 2);
  cpu.script = Script(input, machine, mode == 0);
  const vmm::PagingContext context{machine.machine, machine.pool, machine.memory, cpu, 36};
  if (mode == 0) {
    vmm::NestedPaging paging(context, input.byte() % 2 == 0 ? 1 << 21 : 1 << 12);
    run_guest(input, machine, cpu, paging);
  } else if (mode == 1) {
    vmm::VirtualTlb paging(context);
    run_guest(input, machine, cpu, paging);
  } else {
    vmm::ShadowPaging paging(context);
    run_guest(input, machine, cpu, paging);
  }
  machine.check_guards();
  const bool long_mode = (cpu.get(StateField::efer) & 1 << 10) != 0;
  if (cpu.root.value != 0) check_tables(machine, cpu.root.value, mode == 0 || long_mode ? 4 : 3);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
  constexpr unsigned most_guests = 8;
  fuzz::Input input(data, size);
  for (unsigned i = 0; i < most_guests && !input.empty(); ++i) one_guest(input);
  return 0;
}
