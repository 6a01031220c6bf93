// Encodings that are no instruction, and limits of those that are (Intel SDM vol. 2).

#include "guests/conformance_processor/processor.h"

extern "C" void jump_to_rdi(guest::u64 target);
extern "C" char jump_1[];

namespace guest {

namespace {

bool undefined(void (*program)(u64)) { return raises(invalid_opcode, program); }

bool register_forms_of_memory_instructions() {
  return undefined([](u64) { asm volatile(".byte 0x8d, 0xc0"); }) &&              // LEA
         undefined([](u64) { asm volatile(".byte 0x0f, 0x38, 0xf0, 0xc0"); }) &&  // MOVBE
         undefined([](u64) { asm volatile(".byte 0x66, 0x0f, 0xae, 0xf0"); }) &&  // CLWB
         undefined([](u64) { asm volatile(".byte 0x66, 0x0f, 0xae, 0xf8"); });    // PCOMMIT
}

bool instructions_of_others() {
  return undefined([](u64) { asm volatile(".byte 0x0f, 0x01, 0xfd"); }) &&  // RDPRU
         undefined([](u64) { asm volatile(".byte 0x0f, 0x01, 0xc1"); }) &&  // VMCALL
         undefined([](u64) { asm volatile(".byte 0x0f, 0xc7, 0x30"); }) &&  // VMPTRLD
         undefined([](u64) { asm volatile(".byte 0x0f, 0xff, 0xc0"); }) &&  // UD0
         undefined([](u64) { asm volatile(".byte 0x0f, 0xb9, 0xc0"); });    // UD1
}

bool one_byte_instructions_of_other_modes() {
  return undefined([](u64) { asm volatile(".byte 0x06"); }) && undefined([](u64) { asm volatile(".byte 0x27"); }) &&
         undefined([](u64) { asm volatile(".byte 0x60"); }) && undefined([](u64) { asm volatile(".byte 0xce"); }) &&
         undefined([](u64) { asm volatile(".byte 0xea, 0, 0, 0, 0, 0, 0"); });
}

bool lock_needs_a_memory_destination() {
  return undefined([](u64) { asm volatile(".byte 0xf0, 0x90"); }) &&
         undefined([](u64) { asm volatile(".byte 0xf0, 0x01, 0xc0"); }) &&
         undefined([](u64) { asm volatile(".byte 0xf0, 0x8b, 0x04, 0x24"); });
}

bool sixteen_bytes_are_too_many() {
  return raises(general_protection, [](u64) {
    asm volatile(
        ".byte 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90");
  });
}

bool jumps_fault_where_they_are() {
  const Exception e = attempt(jump_to_rdi, 0x1111'1111'1111'1111);
  return e.raised && e.vector == general_protection && e.rip == reinterpret_cast<u64>(jump_1);
}

constexpr ProcessorCheck checks[] = {
    {"register forms", register_forms_of_memory_instructions},
    {"absent extensions", instructions_of_others},
    {"instructions of 32-bit modes", one_byte_instructions_of_other_modes},
    {"LOCK", lock_needs_a_memory_destination},
    {"sixteen bytes", sixteen_bytes_are_too_many},
    {"jump to a non-canonical address", jumps_fault_where_they_are},
};

}  // namespace

unsigned check_encodings() { return run_processor_checks("encodings", checks); }

}  // namespace guest
