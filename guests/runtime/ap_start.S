# Where a STARTUP IPI lands: copied to physical 0x8000 (vector 8), so nothing here may depend on its link address until
# the first far jump.

.set at, 0x8000

.text
.code16
.globl ap_trampoline, ap_trampoline_end
ap_trampoline:
        cli
        cld
        xor %ax, %ax
        mov %ax, %ds
        lgdtl at + (ap_gdt_pointer - ap_trampoline)
        mov %cr0, %eax
        or $1, %eax
        mov %eax, %cr0
        ljmpl $0x30, $ap_start32
.align 4
ap_gdt_pointer:
        .word 0x47
        .long gdt
ap_trampoline_end:

.code32
ap_start32:
        mov $0x10, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        mov $ap_shared_stack_top, %esp
# The stack holds one return address at a time, so one processor at a time may have it.
1:      lock btsl $0, ap_stack_taken
        jnc 2f
        pause
        jmp 1b
2:      call enter_long_mode
        movl $0, ap_stack_taken
        ljmp $0x08, $ap_start64

.code64
ap_start64:
        lgdt gdt_pointer
        mov $1, %eax
        lock xadd %eax, processors_started  # our index; the first processor is 0
        mov %eax, %ebx
        shl $14, %eax
        lea ap_stacks(%rax), %rsp
        call load_data_segments
        call prepare_processor
        mov %ebx, %edi
        call processor_main
1:      cli
        hlt
        jmp 1b

.data
.align 4
.globl processors_started
processors_started: .long 1
ap_stack_taken:     .long 0

.bss
.align 16
        .skip 64
ap_shared_stack_top:
.align 4096
ap_stacks: .skip 17 * 16384
