// Interrupts as a processor takes them, one line for each fact: priorities and acceptance in the local APIC, its timer, the
// 8254 through the 8259A, NMI, shadows (Intel SDM vol. 3, 6.6 to 6.8, ch. 10; 8259A datasheet).

#include "guests/runtime/interrupts.h"
#include "guests/runtime/apic.h"
#include "guests/runtime/console.h"

namespace guest {

namespace {

constexpr u32 to_self = 0x4'0000, assert_level = 0x4000, nmi = 0x400, masked = 0x1'0000, periodic = 0x2'0000;

u8 taken[32];
unsigned count = 0;
bool ends = true;

void record(Frame& frame) {
  if (count < sizeof taken) taken[count++] = static_cast<u8>(frame.vector);
  if (ends && frame.vector >= 0x30) end_of_interrupt();
}

void print_taken(const char* name) {
  print(name, ":");
  for (unsigned i = 0; i < count; ++i) print(" ", Hex{taken[i]});
  write("\n");
  count = 0;
}

void send(u32 vector) { send_command(0, to_self | assert_level | vector); }

template <class... Vectors>
void send_all(Vectors... vectors) {
  (send(vectors), ...);
}

/// Interrupts open for a moment.
void open() { asm volatile("sti; nop; nop; nop; nop; cli" : : : "memory"); }

u32 read_vectors(u32 base, unsigned vector) {
  return read_apic(static_cast<ApicRegister>(base + vector / 32 * 0x10)) >> (vector % 32) & 1;
}

void set_priority(u32 value) { write_apic(static_cast<ApicRegister>(0x80), value); }
u32 processor_priority() { return read_apic(static_cast<ApicRegister>(0xa0)); }

void set_cr8(u64 value) { asm volatile("mov %0, %%cr8" : : "r"(value)); }

/// An interrupt that only CR8 holds back comes with the instruction that lowers it.
void check_falling_priority() {
  set_cr8(5);
  asm volatile("sti" : : : "memory");
  send(0x41);
  set_cr8(4);
  set_cr8(3);
  asm volatile("nop; nop; cli" : : : "memory");
  print_taken("task priority falls");
  set_cr8(0);
}

void check_priorities() {
  send_all(0x31u, 0x52u, 0x45u, 0x51u);
  print("requested: ", read_vectors(0x200, 0x31), read_vectors(0x200, 0x52), read_vectors(0x200, 0x45), "\n");
  open();
  print_taken("in order of priority");
  constexpr u32 priorities[] = {0x40, 0x50, 0x5f, 0xf0};
  for (const u32 priority : priorities) {
    set_priority(priority);
    send_all(0x31u, 0x52u, 0x61u);
    open();
    print("task priority ", Hex{priority}, ", processor priority ", Hex{processor_priority()}, ": ");
    print_taken("taken");
    set_priority(0);
    open();
    print_taken("then");
  }
  asm volatile("mov %0, %%cr8" : : "r"(u64{6}));
  print("cr8 is the task priority: ", Hex{read_apic(static_cast<ApicRegister>(0x80))}, "\n");
  asm volatile("mov %0, %%cr8" : : "r"(u64{0}));
  // Without EOI the class stays closed.
  ends = false;
  send(0x52);
  open();
  print("in service: ", read_vectors(0x100, 0x52), ", processor priority ", Hex{processor_priority()}, "\n");
  send_all(0x45u, 0x5fu, 0x61u);
  open();
  print_taken("above what is in service");
  end_of_interrupt();
  open();
  print_taken("after one end of interrupt");
  end_of_interrupt();
  open();
  print_taken("after two");
  end_of_interrupt();
  open();
  print_taken("after three");
  end_of_interrupt();
  end_of_interrupt();
  ends = true;
  send(0x40);
  send(0x40);
  open();
  print_taken("twice the same");
}

void check_shadows() {
  send(0x40);
  asm volatile("sti; cli" : : : "memory");
  print_taken("in the shadow of sti");
  open();
  print_taken("behind it");
  send(0x40);
  asm volatile("mov %%ss, %%eax; sti; mov %%eax, %%ss; nop; cli" : : : "eax", "memory");
  print_taken("sti, mov ss");
  open();
  count = 0;
  send(0x40);
  asm volatile("pushfq; orl $0x200, (%%rsp); popfq; nop; cli" : : : "memory");
  print_taken("popf has no shadow");
  send(0x40);
  asm volatile("sti; hlt; cli" : : : "memory");
  print_taken("sti, hlt");
  send_command(0, assert_level | nmi);  // the shorthand is for fixed interrupts only (table 10-3)
  asm volatile("nop; nop; nop" : : : "memory");
  print_taken("nmi with interrupts off");
}

void wait(unsigned wanted) {
  while (count < wanted) asm volatile("sti; hlt; cli" : : : "memory");
}

void check_apic_timer() {
  write_apic(ApicRegister::DivideConfiguration, 0xb);
  write_apic(ApicRegister::Timer, 0x44);
  write_apic(ApicRegister::InitialCount, 10'000);
  wait(1);
  print_taken("apic timer, once");
  print("its count behind it: ", read_apic(ApicRegister::CurrentCount), "\n");
  write_apic(ApicRegister::Timer, periodic | 0x45);
  write_apic(ApicRegister::InitialCount, 100'000);
  wait(3);
  write_apic(ApicRegister::InitialCount, 0);
  open();
  count = 3;
  print_taken("apic timer, periodic");
  write_apic(ApicRegister::Timer, masked | 0x44);
  write_apic(ApicRegister::InitialCount, 100);
  while (read_apic(ApicRegister::CurrentCount) != 0) pause();
  open();
  print_taken("apic timer, masked");
}

void check_pit() {
  initialize_pics(1);
  enable_apic(true);
  out8(0x43, 0x34);
  out8(0x40, 0x9c);
  out8(0x40, 0x2e);
  for (unsigned tick = 1; tick <= 3; ++tick) {
    wait(tick);
    out8(0x20, 0x0b);
    print("8259a in service: ", in8(0x20) & 1u, "\n");
    end_of_pic_interrupt();
  }
  print_taken("8254 through the 8259a");
  out8(0x21, 0xff);
  for (unsigned i = 0; i < 200'000; ++i) pause();
  out8(0x20, 0x0a);
  print("8259a requested behind its mask: ", in8(0x20) & 1u, "\n");
  open();
  print_taken("8259a, masked");
  out8(0x43, 0x30);
  out8(0x21, 0xfe);
  out8(0x21, 0xff);
  initialize_pics(0);
}

void check_software_vectors() {
  ends = false;
  asm volatile("int $0x52" : : : "memory");
  print("int 52 in service: ", read_vectors(0x100, 0x52), "\n");
  print_taken("int 52");
  ends = true;
}

}  // namespace

}  // namespace guest

guest::u32 kernel_main() {
  using namespace guest;
  initialize_pics(0);
  enable_apic(false);
  for (unsigned vector = 0x20; vector < 0x100; ++vector) set_handler(vector, record);
  set_handler(2, record);
  check_priorities();
  check_falling_priority();
  check_shadows();
  check_apic_timer();
  check_pit();
  check_software_vectors();
  write("end of facts\n");
  return 0;
}
