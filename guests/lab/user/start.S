# The image's header (guests/lab/user_image.cpp), where programs begin, system calls, and the loops that are measured.

#include "guests/lab/user/registers.h"

.section .header, "a"
        WORD text_end - 0x40000000, file_end - 0x40000000, memory_end - 0x40000000
        WORD user_start, programs, program_count

.text
# The program's number is in RDI.
.globl user_start
user_start:
        PASS_FIRST_ARGUMENT
        call run_program
1:      jmp 1b

# word system_call(word number, word a, word b, word c)
.globl system_call
system_call:
        SAVE_ARGUMENT_REGISTERS
        LOAD_CALL_ARGUMENTS
        SYSTEM_CALL
        RESTORE_ARGUMENT_REGISTERS
        ret

# All take the count, in the register that LOAD_COUNT names; the operation may change the others.

# void empty_loop(word count)
.globl empty_loop
empty_loop:
        LOAD_COUNT
1:      xor %eax, %eax
        dec COUNT
        jnz 1b
        RESTORE_COUNT
        ret

# void system_call_loop(word count): number 0 does nothing.
.globl system_call_loop
system_call_loop:
        LOAD_COUNT
1:      xor %eax, %eax
        SYSTEM_CALL
        dec COUNT
        jnz 1b
        RESTORE_COUNT
        ret

# void call_loop(word count)
.globl call_loop
call_loop:
        LOAD_COUNT
1:      xor %eax, %eax
        call 2f
        dec COUNT
        jnz 1b
        RESTORE_COUNT
        ret
2:      ret

# void divide_loop(word count): each division is an error, after which the kernel goes on at after_divide_error.
.globl divide_loop, after_divide_error
divide_loop:
        LOAD_COUNT
        xor %edx, %edx
        xor %esi, %esi
1:      xor %eax, %eax
        div %esi
after_divide_error:
        dec COUNT
        jnz 1b
        RESTORE_COUNT
        ret

.section .note.GNU-stack, "", @progbits
