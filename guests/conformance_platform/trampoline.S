# Real-mode code for any page: leaves what STARTUP has set (Intel SDM vol. 3, 8.4.4) at 0x7000 and stops.

.set mailbox, 0x7000

.text
.code16
.globl platform_trampoline, platform_trampoline_end
platform_trampoline:
        mov %edx, %ebx
        xor %ax, %ax
        mov %ax, %ds
        mov $mailbox + 0x100, %sp
        mov %ax, %ss
        pushfl
        popl mailbox + 16
        mov %ebx, mailbox + 12
        mov %cr0, %eax
        mov %eax, mailbox + 4
        xor %eax, %eax
        mov %cs, %ax
        mov %eax, mailbox + 8
        lock incl mailbox
1:      cli
        hlt
        jmp 1b
platform_trampoline_end:
