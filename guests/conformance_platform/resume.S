# Real-mode code for any page, where a processor goes on after a restart: ends the run with the value that the program
# has left at 0x7000.

.set exit_value, 0x7000
.set debug_exit, 0xf4

.text
.code16
.globl resume, resume_end
resume:
        xor %ax, %ax
        mov %ax, %ds
        mov exit_value, %eax
        mov $debug_exit, %dx
        out %eax, %dx
1:      hlt
        jmp 1b
resume_end:
