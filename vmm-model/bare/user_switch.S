# The world switch to a guest in user state, and back at its next event. It is in the switch area (user_state.h), which both
# address spaces have, so that CR3 can change under it. Steps:
#   1 save the hypervisor's registers   2 the guest's tables   3 the guest's registers   4 IRET, and the guest runs
#   5 an event: the guest's registers to the area's stack   6 the hypervisor's tables, stack and registers

.set area, 0xf7e00000
.set hypervisor_stack, area + 0x2900
.set hypervisor_root, area + 0x2904
.set frame, area + 0x4000 - 76              # a UserState
.set data_selector, 0xfe8

.section .text.user_switch, "ax"
.code32
.align 4096
.globl user_switch_code
user_switch_code:
.set number, 0
.rept 256
        .align 16
        .if !(number == 8 || (number >= 10 && number <= 14) || number == 17 || number == 21)
        push $0
        .endif
        push $number
        jmp 5f
        .set number, number + 1
.endr
        .align 16
        # 5
5:      testb $3, 12(%esp)
        jz 7f
        pushal
        push %ds
        push %es
        push %fs
        push %gs
        # 6
        mov $data_selector, %eax
        mov %eax, %ds
        mov %eax, %es
        mov hypervisor_root, %eax
        mov %eax, %cr3
        mov hypervisor_stack, %esp
        pop %edi
        pop %esi
        pop %ebx
        pop %ebp
        cld
        ret
        # Not from a guest: the hypervisor's own way, in its own address space.
7:      push $interrupt_common
        ret

# void enter_user(u32 root), to be called where the area has it
.globl enter_user
enter_user:
        # 1
        mov 4(%esp), %eax
        push %ebp
        push %ebx
        push %esi
        push %edi
        mov %esp, hypervisor_stack
        # 2
        mov %eax, %cr3
        # 3
        mov $frame, %esp
        pop %gs
        pop %fs
        pop %es
        pop %ds
        popal
        add $8, %esp
        # 4
        iret
.align 4096
.section .note.GNU-stack, "", @progbits
