// What a 32-bit kernel sees of the place where a hypervisor without a virtualization extension keeps its world switch
// (vmm-model/user_state.h): natively and there, linear memory that is the kernel's own, or page faults. And code that is
// only safe once it has been rewritten: changed after it ran, reached through pointers, entered by a return.

#include "guests/conformance_legacy/legacy.h"

namespace guest {

namespace {

constexpr u16 code = 0x08, data = 0x10;
constexpr u32 area = 0xf7e0'0000, area_bytes = 0x20'0000, ram = 0xe0'0000;
constexpr u32 present = 1, writable = 2, large = 0x80;
constexpr u32 interrupt_flag = 0x200;

u64 segments[3], gates[256];
alignas(4096) u32 directory[1024];

void load_tables() {
  segments[code / 8] = 0x00cf'9b00'0000'ffff;
  segments[data / 8] = 0x00cf'9300'0000'ffff;
  const TablePointer gdt{sizeof(segments) - 1, address_of(segments)}, idt{sizeof(gates) - 1, address_of(gates)};
  asm volatile("lgdt %0; lidt %1; ljmp $8, $1f; 1:" : : "m"(gdt), "m"(idt));
  asm volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%ss" : : "r"(u32{data}));
}

void set_gate(unsigned vector, const void* handler) {
  const u32 offset = address_of(handler);
  gates[vector] = (offset & 0xffff) | u64{code} << 16 | u64{0x8e} << 40 | u64{offset >> 16} << 48;
}

/// All linear memory is the first 16 MiB again and again.
void enable_paging() {
  constexpr u32 pse = 0x10, paging = 0x8000'0000;
  for (u32 i = 0; i < 1024; ++i) directory[i] = (i % 4) << 22 | present | writable | large;
  asm volatile("mov %%cr4, %%eax; or %0, %%eax; mov %%eax, %%cr4" : : "i"(pse) : "eax");
  asm volatile("mov %0, %%cr3; mov %%cr0, %%eax; or %1, %%eax; mov %%eax, %%cr0"
               :
               : "r"(directory), "i"(paging)
               : "eax");
}

u32 flags() {
  u32 value;
  asm volatile("pushf; pop %0" : "=r"(value));
  return value;
}

volatile u32& word(u32 address) { return *reinterpret_cast<volatile u32*>(address); }

}  // namespace

}  // namespace guest

extern "C" {
volatile guest::u32 fault_address, fault_error, fault_count;
extern volatile guest::u32 other_stack[];
extern char on_page_fault[], returned_to[], changing[], thunk_targets[], behind_thread[];
guest::u32 call_by_return(guest::u32 function), run_thread();
}

// A read that faults goes on behind itself: it is two bytes long.
asm(R"(
        .text
on_page_fault:
        push %eax
        mov %cr2, %eax
        mov %eax, fault_address
        mov 4(%esp), %eax
        mov %eax, fault_error
        incl fault_count
        pop %eax
        add $4, %esp
        addl $2, (%esp)
        iret

# Nothing but a return leads here: word returned_to()
        .balign 4096
returned_to:
        pushf
        pop %eax
        ret
        .balign 4096

# word changing(): what its first bytes are is decided while it runs.
changing:
        mov $0, %eax
        nop
        nop
        ret

# An indirect call as compilers make it that keep processors from guessing: the return goes to the function.
call_by_return:
        mov 4(%esp), %eax
        call 2f
1:      pause
        jmp 1b
2:      mov %eax, (%esp)
        ret
        .balign 16
thunk_targets:
        .rept 24
        pushf
        pop %eax
        ret
        .balign 16
        .endr

# A switch of threads: what another stack has is returned to.
run_thread:
        mov %esp, old_stack
        mov new_stack, %esp
        ret
        .balign 16
behind_thread:
        pushf
        pop %eax
        mov old_stack, %esp
        ret
        .data
        .balign 4
new_stack:
        .long other_stack
old_stack:
        .long 0
        .bss
        .skip 256
other_stack:
        .skip 64
        .text
)");

namespace guest {

namespace {

void check_area() {
  bool good = true;
  for (u32 at = 0; at < area_bytes; at += at < 0x9000 ? 0x40 : 0x2'0000) {
    word(area + at) = at ^ 0x5a5a'5a5a;
    good = good && word(area + at) == (at ^ 0x5a5a'5a5a) && word(ram + at) == (at ^ 0x5a5a'5a5a);
  }
  report("the switch area is the kernel's own memory", good);
  asm volatile("lock incl (%0)" : : "r"(area) : "memory");
  asm volatile("cld; rep movsb" : : "S"(area), "D"(area + 0x100), "c"(64) : "memory");
  report("instructions of several kinds reach it", word(ram) == 0x5a5a'5a5b && word(ram + 0x100) == 0x5a5a'5a5b);
}

void check_absent_area() {
  const u32 entry = directory[area >> 22];
  directory[area >> 22] = 0;
  asm volatile("mov %0, %%cr3" : : "r"(directory) : "memory");
  asm volatile("mov (%%eax), %%ecx" : : "a"(area + 0x2900) : "ecx", "memory");
  report("a read of it faults where nothing is mapped",
         fault_count == 1 && fault_address == area + 0x2900 && fault_error == 0);
  asm volatile("mov %%ecx, (%%eax)" : : "a"(area + 0x3ffc), "c"(0) : "memory");
  report("a write does too", fault_count == 2 && fault_address == area + 0x3ffc && fault_error == 2);
  directory[area >> 22] = entry;
  asm volatile("mov %0, %%cr3" : : "r"(directory) : "memory");
}

void check_returned_to() {
  u32 value;
  asm volatile("cli; push $1f; push %1; ret; 1: mov %%eax, %0" : "=a"(value) : "r"(returned_to) : "memory");
  report("code that a return leads to", (value & interrupt_flag) == 0);
}

/// PUSHF; POP EAX; RET for MOV EAX, 0, and back.
void check_changed_code() {
  const auto run = reinterpret_cast<u32 (*)()>(changing);
  u8* const bytes = reinterpret_cast<u8*>(changing);
  bool good = run() == 0;
  for (unsigned round = 0; round < 4; ++round) {
    bytes[0] = 0x9c;
    bytes[1] = 0x58;
    bytes[2] = 0xc3;
    good = good && (run() & interrupt_flag) == 0 && bytes[1] == 0x58;
    bytes[0] = 0xb8;
    *reinterpret_cast<volatile u32*>(bytes + 1) = round;
    good = good && run() == round;
  }
  report("code that is changed after it ran", good);
}

u32 count_interrupts(u32 begin) { return flags() + begin; }

void check_pointers() {
  u32 (*volatile function)(u32) = count_interrupts;
  bool good = true;
  for (u32 i = 0; i < 40; ++i) good = good && ((function(i) - i) & interrupt_flag) == 0;
  report("code behind a pointer", good);
}

/// Every function is called often enough for a branch to be trusted before the next one is new.
void check_thunk() {
  bool good = true;
  for (u32 i = 0; i < 24 * 20; ++i) {
    good = good && (call_by_return(address_of(thunk_targets) + i / 20 * 16) & interrupt_flag) == 0;
  }
  report("functions called by returns", good);
}

void check_threads() {
  other_stack[0] = address_of(behind_thread);
  report("code that another stack leads to", (run_thread() & interrupt_flag) == 0);
}

}  // namespace

extern "C" [[noreturn]] void kernel_main() {
  load_tables();
  set_gate(14, on_page_fault);
  enable_paging();
  check_area();
  check_absent_area();
  check_pointers();
  check_returned_to();
  check_thunk();
  check_threads();
  check_changed_code();
  finish();
}

}  // namespace guest

asm(R"(
        .section .multiboot, "a"
        .align 4
        .long 0x1badb002, 0, -0x1badb002
        .text
        .globl start
start:  cli
        mov $stack_top, %esp
        call kernel_main
        .bss
        .skip 8192
stack_top:
        .text
)");
