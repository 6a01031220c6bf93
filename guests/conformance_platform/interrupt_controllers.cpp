// The 8259As (8259A datasheet) and the IOAPIC (82093AA datasheet), their lines driven through QEMU's pc-testdev.

#include "guests/conformance_platform/platform.h"
#include "guests/runtime/apic.h"
#include "guests/runtime/console.h"
#include "guests/runtime/interrupts.h"

namespace guest {

namespace {

constexpr u16 pic1 = 0x20, pic2 = 0xa0;
constexpr unsigned vector = 0x60, other_vector = 0x70;
constexpr u64 masked = 1 << 16, level_triggered = 1 << 15, logical = 1 << 11, remote_irr = 1 << 14;

volatile u32 order = 0, pic_irq = 0;
volatile bool line_stays = false;

void on_pic(Frame& frame) {
  const u32 irq = static_cast<u32>(frame.vector) - pic_vector;
  pic_irq = irq;
  interrupts = interrupts + 1;
  if (irq >= 8) out8(pic2, 0x20);
  out8(pic1, 0x20);
}

void on_ordered(Frame& frame) {
  order = order << 8 | static_cast<u32>(frame.vector);
  interrupts = interrupts + 1;
  end_of_interrupt();
}

void on_level(Frame&) {
  interrupts = interrupts + 1;
  if (!line_stays || interrupts >= 3) set_test_line(14, false);
  end_of_interrupt();
}

void with_pics(u16 open) {
  initialize_pics(open);
  enable_apic(true);
  for (unsigned irq = 0; irq < 16; ++irq) set_handler(pic_vector + irq, on_pic);
  interrupts = 0;
}

void without_pics() {
  initialize_pics(0);
  enable_apic(false);
}

bool pic_masks_read_back() {
  out8(pic1 + 1, 0x5a);
  out8(pic2 + 1, 0xa5);
  const bool same = in8(pic1 + 1) == 0x5a && in8(pic2 + 1) == 0xa5;
  out8(pic1 + 1, 0xff);
  out8(pic2 + 1, 0xff);
  return same;
}

bool pic_delivers(unsigned line) {
  with_pics(static_cast<u16>(1u << line | 1u << 2));
  set_test_line(line, true);
  open_window();
  set_test_line(line, false);
  const bool delivered = interrupts == 1 && pic_irq == line;
  without_pics();
  return delivered;
}

bool pic_delivers_master() { return pic_delivers(5); }
bool pic_delivers_slave() { return pic_delivers(14); }

bool pic_masks() {
  with_pics(0);
  set_test_line(5, true);
  open_window();
  const bool held = interrupts == 0;
  out8(pic1, 0x0a);  // read the request register
  const bool requested = (in8(pic1) & 0x20) != 0;
  out8(pic1 + 1, 0xdf);
  open_window();
  set_test_line(5, false);
  const bool delivered = interrupts == 1;
  without_pics();
  return held && requested && delivered;
}

bool pic_polls() {
  with_pics(0xff);
  set_test_line(7, true);
  out8(pic1, 0x0c);
  const u8 first = in8(pic1);
  set_test_line(7, false);
  out8(pic1, 0x0b);  // read the in-service register
  const u8 in_service = in8(pic1);
  out8(pic1, 0x67);  // specific end of interrupt
  const u8 after = in8(pic1);
  without_pics();
  return first == 0x87 && in_service == 0x80 && after == 0;
}

bool io_apic_has_entries() {
  mmio(0xfec0'0000) = 1;
  return (mmio(0xfec0'0010) >> 16 & 0xff) == 23 && (mmio(0xfec0'0010) & 0xf0) != 0x30;
}

bool redirection_reads_back() {
  write_redirection(14, u64{0x01} << 56 | masked | level_triggered | logical | 0x43);
  const u64 entry = read_redirection(14);
  write_redirection(14, masked);
  return entry == (u64{0x01} << 56 | masked | level_triggered | logical | 0x43);
}

void pulse(unsigned line) {
  set_test_line(line, true);
  set_test_line(line, false);
}

bool edge_interrupts_once() {
  count_interrupts(vector);
  write_redirection(14, vector);
  pulse(14);
  open_window();
  const bool once = interrupts == 1;
  set_test_line(14, true);
  open_window();
  open_window();
  const bool again = interrupts == 2;
  set_test_line(14, false);
  write_redirection(14, masked);
  return once && again;
}

bool edges_coalesce() {
  count_interrupts(vector);
  write_redirection(14, vector);
  pulse(14);
  pulse(14);
  pulse(14);
  open_window();
  write_redirection(14, masked);
  return interrupts == 1;
}

bool higher_vector_first() {
  set_handler(vector, on_ordered);
  set_handler(other_vector, on_ordered);
  interrupts = 0;
  order = 0;
  write_redirection(14, other_vector);
  write_redirection(15, vector);
  pulse(15);
  pulse(14);
  open_window();
  write_redirection(14, masked);
  write_redirection(15, masked);
  return order == (other_vector << 8 | vector);
}

bool level_interrupts_until_released() {
  set_handler(vector, on_level);
  interrupts = 0;
  line_stays = true;
  write_redirection(14, vector | level_triggered);
  set_test_line(14, true);
  const bool waits = (read_redirection(14) & remote_irr) != 0;
  open_window();
  open_window();
  open_window();
  const bool done = interrupts == 3 && (read_redirection(14) & remote_irr) == 0;
  write_redirection(14, masked);
  return waits && done;
}

bool level_waits_behind_the_mask() {
  set_handler(vector, on_level);
  interrupts = 0;
  line_stays = false;
  write_redirection(14, masked | vector | level_triggered);
  set_test_line(14, true);
  open_window();
  const bool held = interrupts == 0;
  write_redirection(14, vector | level_triggered);
  open_window();
  const bool delivered = interrupts == 1;
  set_test_line(14, false);
  write_redirection(14, masked);
  return held && delivered;
}

bool masked_edge_is_lost() {
  count_interrupts(vector);
  write_redirection(14, masked | vector);
  pulse(14);
  write_redirection(14, vector);
  open_window();
  write_redirection(14, masked);
  return interrupts == 0;
}

bool test_device_echoes() {
  out32(0xe0, 0x1234'5678);
  if (in32(0xe0) != 0x1234'5678) return false;
  out16(0xe0, 0xabcd);
  if (in16(0xe0) != 0xabcd) return false;
  out8(0xe0, 0x77);
  return in8(0xe0) == 0x77;
}

bool test_device_has_memory() {
  mmio(0xff00'0000) = 0xdead'beef;
  mmio(0xff00'0ffc) = 0x0bad'cafe;
  return mmio(0xff00'0000) == 0xdead'beef && mmio(0xff00'0ffc) == 0x0bad'cafe;
}

constexpr Check checks[] = {
    {"8259A's masks", pic_masks_read_back},
    {"8259A, line 5", pic_delivers_master},
    {"8259A, line 14", pic_delivers_slave},
    {"8259A, masked", pic_masks},
    {"8259A, polled", pic_polls},
    {"IOAPIC's version", io_apic_has_entries},
    {"IOAPIC's entries", redirection_reads_back},
    {"edge", edge_interrupts_once},
    {"edges in a row", edges_coalesce},
    {"priority", higher_vector_first},
    {"level", level_interrupts_until_released},
    {"level behind a mask", level_waits_behind_the_mask},
    {"edge behind a mask", masked_edge_is_lost},
    {"pc-testdev's port", test_device_echoes},
    {"pc-testdev's memory", test_device_has_memory},
};

}  // namespace

unsigned check_interrupt_controllers() {
  without_pics();
  return run_checks("interrupt controllers", checks);
}

}  // namespace guest
