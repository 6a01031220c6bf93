#include "tests/fuzz/hostile_vmx_controls.h"

namespace bunshin::fuzz {

using namespace vmx;

namespace {

u32 legal(const AllowedSettings& word, u32 wanted) { return (wanted | word.must) & word.may; }

/// Any bits, most often few.
u32 some_bits(Input& input) { return input.dword() & (input.byte() % 4 == 0 ? ~u32{0} : input.dword()); }

}  // namespace

Controls choose_controls(const Capabilities& can, GuestMode& mode, Input& input) {
  Controls c;
  c.pin = legal(can.pin, input.byte());
  c.primary = legal(can.primary, some_bits(input) | (input.byte() % 4 == 0 ? 0 : primary::secondary));
  c.secondary = legal(can.secondary, some_bits(input));
  c.exit = legal(can.exit, (input.dword() & input.dword()) | exit_control::host_address_space);
  const u32 entry = input.dword() & input.dword() & ~entry_control::ia32e_guest;
  if (!has_paging(mode)) {
    constexpr u32 needed = secondary::ept | secondary::unrestricted_guest;
    if ((can.primary.may & primary::secondary) != 0 && (can.secondary.may & needed) == needed) {
      c.primary |= primary::secondary;
      c.secondary |= needed;
    } else {
      mode = GuestMode::Pae;
    }
  }
  c.entry = legal(can.entry, entry | (is_long(mode) ? entry_control::ia32e_guest : 0));
  if (!c.has(primary::secondary)) c.secondary = 0;
  return c;
}

void repair(Controls& c) {
  if (!c.has_pin(pin::nmi)) c.pin &= ~pin::virtual_nmis;
  if (!c.has_pin(pin::virtual_nmis)) c.primary &= ~primary::nmi_window;
  if (!c.has(primary::tpr_shadow))
    c.secondary &= ~(secondary::x2apic | secondary::apic_registers | secondary::interrupt_delivery);
  if (c.also(secondary::x2apic)) c.secondary &= ~secondary::apic_accesses;
  if (!c.also(secondary::ept))
    c.secondary &= ~(secondary::unrestricted_guest | secondary::mode_based_execute | secondary::pml);
  if (c.also(secondary::interrupt_delivery))
    c.pin |= pin::external_interrupt;
  else
    c.pin &= ~pin::posted_interrupts;
  if (c.has_pin(pin::posted_interrupts)) c.exit |= exit_control::acknowledge_interrupt;
  if (!c.has_pin(pin::preemption_timer)) c.exit &= ~exit_control::save_preemption_timer;
}

}  // namespace bunshin::fuzz
