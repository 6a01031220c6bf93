// The 16550 (PC16550D datasheet), the keyboard controller (IBM PS/2 Technical Reference) and the text screen.

#include "guests/conformance_platform/platform.h"
#include "guests/runtime/apic.h"
#include "guests/runtime/console.h"
#include "guests/runtime/interrupts.h"

namespace guest {

namespace {

constexpr u16 com1 = 0x3f8, keyboard_data = 0x60, keyboard_command = 0x64;
constexpr unsigned vector = 0x5a;
constexpr u64 masked = 1 << 16;

volatile u8 identification = 0, scan_code = 0;

void on_uart(Frame&) {
  identification = in8(com1 + 2);
  interrupts = interrupts + 1;
  end_of_interrupt();
}

void on_keyboard(Frame&) {
  scan_code = in8(keyboard_data);
  interrupts = interrupts + 1;
  end_of_interrupt();
}

bool uart_scratch() {
  out8(com1 + 7, 0xa5);
  return in8(com1 + 7) == 0xa5;
}

bool uart_divisor() {
  const u8 control = in8(com1 + 3);
  out8(com1 + 3, 0x83);
  out8(com1, 0x34);
  out8(com1 + 1, 0x12);
  const bool same = in8(com1) == 0x34 && in8(com1 + 1) == 0x12;
  out8(com1, 1);
  out8(com1 + 1, 0);
  out8(com1 + 3, control & 0x7f);
  return same;
}

bool uart_fifo() {
  out8(com1 + 2, 1);
  const bool on = (in8(com1 + 2) & 0xc0) == 0xc0;
  out8(com1 + 2, 0);
  return on && (in8(com1 + 2) & 0xc0) == 0;
}

bool uart_loopback() {
  out8(com1 + 4, 0x1e);
  out8(com1, 0xae);
  while ((in8(com1 + 5) & 1) == 0) pause();
  const u8 back = in8(com1);
  const u8 modem = in8(com1 + 6) & 0xf0;
  out8(com1 + 4, 0x0b);
  return back == 0xae && modem == 0xd0;
}

bool uart_interrupts_when_empty() {
  set_handler(vector, on_uart);
  interrupts = 0;
  write_redirection(4, vector);
  out8(com1 + 4, 0x0b);
  out8(com1 + 1, 2);
  tsc_in_pm_ticks(1000);
  open_window();
  out8(com1 + 1, 0);
  write_redirection(4, masked);
  return interrupts == 1 && (identification & 0x0f) == 2;
}

u8 answer() {
  while ((in8(keyboard_command) & 1) == 0) pause();
  return in8(keyboard_data);
}

void send(u16 port, u8 value) {
  while ((in8(keyboard_command) & 2) != 0) pause();
  out8(port, value);
}

bool controller_tests_itself() {
  while ((in8(keyboard_command) & 1) != 0) in8(keyboard_data);
  send(keyboard_command, 0xaa);
  const bool passed = answer() == 0x55;
  send(keyboard_command, 0xab);
  return passed && answer() == 0;
}

bool controller_keeps_its_byte() {
  send(keyboard_command, 0x60);
  send(keyboard_data, 0x74);
  send(keyboard_command, 0x20);
  return (answer() & 0x55) == 0x54;
}

bool a20_is_open() {
  send(keyboard_command, 0xd0);
  return (answer() & 3) == 3 && (in8(0x92) & 2) != 0;
}

bool keyboard_resets() {
  send(keyboard_command, 0xae);
  send(keyboard_data, 0xff);
  return answer() == 0xfa && answer() == 0xaa;
}

bool keyboard_identifies() {
  send(keyboard_data, 0xf2);
  return answer() == 0xfa && answer() == 0xab && answer() == 0x41;  // translated to scan set 1
}

bool keyboard_interrupts() {
  set_handler(vector, on_keyboard);
  interrupts = 0;
  write_redirection(1, vector);
  send(keyboard_command, 0x60);
  send(keyboard_data, 0x65);
  send(keyboard_data, 0xee);
  tsc_in_pm_ticks(10'000);
  open_window();
  send(keyboard_command, 0x60);
  send(keyboard_data, 0x64);
  write_redirection(1, masked);
  return interrupts == 1 && scan_code == 0xee;
}

bool screen_keeps_text() {
  auto* const cells = reinterpret_cast<volatile u16*>(0xb8000);
  cells[2 * 80] = 0x0741;
  cells[24 * 80 + 79] = 0x1f5a;
  return cells[2 * 80] == 0x0741 && cells[24 * 80 + 79] == 0x1f5a;
}

bool cursor_moves() {
  out8(0x3d4, 0x0f);
  out8(0x3d5, 0x5a);
  return in8(0x3d5) == 0x5a;
}

bool absent_ports_read_ones() { return in8(0x1234) == 0xff && in32(0x1234) == 0xffff'ffff; }

constexpr Check checks[] = {
    {"16550's scratch register", uart_scratch},
    {"16550's divisor", uart_divisor},
    {"16550's FIFO", uart_fifo},
    {"16550's loopback", uart_loopback},
    {"16550's interrupt", uart_interrupts_when_empty},
    {"keyboard controller's test", controller_tests_itself},
    {"keyboard controller's byte", controller_keeps_its_byte},
    {"A20", a20_is_open},
    {"keyboard's reset", keyboard_resets},
    {"keyboard's identity", keyboard_identifies},
    {"keyboard's interrupt", keyboard_interrupts},
    {"screen", screen_keeps_text},
    {"cursor", cursor_moves},
    {"absent ports", absent_ports_read_ones},
};

}  // namespace

unsigned check_peripherals() { return run_checks("peripherals", checks); }

}  // namespace guest
