# The measured loops: the same bytes on the simulated machine and on a real one. System V calling convention.

#include "guests/runtime/saved_registers.inc"

.text

# Follows RSI pointers from RDI on.
.balign 64
.globl micro_chase
micro_chase:
1:      mov (%rdi), %rdi
        dec %rsi
        jnz 1b
        mov %rdi, %rax
        ret

# One load (store, locked addition) in each of RSI lines, a multiple of 8.
.macro eight_lines text:vararg
        .irp offset, 0, 64, 128, 192, 256, 320, 384, 448
        \text \offset(%rdi)
        .endr
.endm
.balign 64
.globl micro_read_lines
micro_read_lines:
1:      .irp offset, 0, 64, 128, 192, 256, 320, 384, 448
        mov \offset(%rdi), %rax
        .endr
        add $512, %rdi
        sub $8, %rsi
        jnz 1b
        ret
.balign 64
.globl micro_write_lines
micro_write_lines:
1:      eight_lines mov %rsi,
        add $512, %rdi
        sub $8, %rsi
        jnz 1b
        ret
.balign 64
.globl micro_lock_lines
micro_lock_lines:
        xor %eax, %eax
1:      eight_lines lock add %rax,
        add $512, %rdi
        sub $8, %rsi
        jnz 1b
        ret

# RDI conditional branches, taken where the pattern RSI of RDX bytes holds 0. A branch skips one instruction.
.balign 64
.globl micro_conditional
micro_conditional:
        xor %ecx, %ecx
        xor %r8d, %r8d
1:      movzbl (%rsi,%rcx), %eax
        inc %rcx
        cmp %rdx, %rcx
        cmove %r8, %rcx
        test %eax, %eax
        jz 2f
        nop
2:      dec %rdi
        jnz 1b
        ret

# RDI indirect jumps to the targets that the pattern RSI of RDX bytes says.
.balign 64
.globl micro_indirect
micro_indirect:
        xor %ecx, %ecx
        xor %r8d, %r8d
        lea indirect_targets(%rip), %r9
indirect_next:
        movzbl (%rsi,%rcx), %eax
        inc %rcx
        cmp %rdx, %rcx
        cmove %r8, %rcx
        shl $4, %eax
        add %r9, %rax
        jmp *%rax
indirect_back:
        dec %rdi
        jnz indirect_next
        ret
.balign 64
indirect_targets:
        .rept 64
        jmp indirect_back
        .balign 16
        .endr

# RDI times calls nested RSI deep, at most 64. A function for each depth: all return addresses differ.
.balign 64
.globl micro_call_depth
micro_call_depth:
        lea call_chain_end(%rip), %rax
        shl $4, %rsi
        sub %rsi, %rax
1:      call *%rax
        dec %rdi
        jnz 1b
        ret
.balign 64
.rept 63
        call . + 16
        ret
        .balign 16
.endr
        ret
        .balign 16
call_chain_end:

# RDI calls that do not return to where they were called from.
.balign 64
.globl micro_mispredicted_return
micro_mispredicted_return:
        lea 3f(%rip), %rax
1:      call 2f
        ud2
2:      mov %rax, (%rsp)
        ret
3:      dec %rdi
        jnz 1b
        ret

# RDI rounds of additions that depend on each other: the measure of a core cycle.
.balign 64
.globl micro_add_chain
micro_add_chain:
1:      .rept 256
        add %rdx, %rax
        .endr
        dec %rdi
        jnz 1b
        ret

.section .rodata
.balign 64
ones:   .long 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000
.globl micro_adds_per_round
micro_adds_per_round: .quad 256

# measured NAME PARAMETER COUNT FEATURES TEXT: two loops, with 48 and 96 copies of COUNT-instruction TEXT's work: COUNT copies
# that the text holds, repeated. RDI counts, RSI points to 4 KiB of memory whose first word points to itself; RCX is 1, all
# vectors are ones, so is the x87 stack.
.macro one_loop repetitions text
.balign 64
        push_callee_saved
        mov %rsi, (%rsi)
        mov $1, %ecx
        xor %edx, %edx
        mov $0x7fffffff, %eax
        .irp register, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        movaps ones(%rip), %xmm\register
        .endr
        fninit
        .rept 8
        fld1
        .endr
        .balign 64
1:      .rept \repetitions
        \text
        .endr
        dec %rdi
        jnz 1b
        fninit
        pop_callee_saved
        ret
.endm

.macro measured name parameter count features text
        .text
        .balign 64
shorter_\@:
        one_loop 48 / \count, "\text"
        .balign 64
longer_\@:
        one_loop 96 / \count, "\text"
        .section .rodata.strings, "a"
name_\@: .asciz "\name"
parameter_\@: .asciz "\parameter"
        .section .rodata.micro_kernels, "a"
        .quad name_\@, parameter_\@, shorter_\@, longer_\@, 48, \features
.endm

.set fma, 1
.set aes, 2
.set pclmul, 4
.set popcnt, 8
.set sse42, 16

.section .rodata.micro_kernels, "a"
.balign 8
.globl micro_kernels
micro_kernels:

measured latency add 1 0 "add %rdx, %rax"
measured latency imul 1 0 "imul %rcx, %rax"
measured latency div 1 0 "div %ecx"
measured latency lea 1 0 "lea 1(%rax), %rax"
measured latency shift 1 0 "shl $1, %rax"
measured latency cmov 1 0 "cmovz %rdx, %rax"
measured latency adc 1 0 "adc %rdx, %rax"
measured latency popcnt 1 popcnt "popcnt %rax, %rax"
measured latency crc32 1 sse42 "crc32 %rax, %rax"
measured latency load 1 0 "mov (%rsi), %rsi"
measured latency store_forward 1 0 "mov %rax, 64(%rsi); mov 64(%rsi), %rax"
measured latency paddd 1 0 "paddd %xmm1, %xmm0"
measured latency pmuludq 1 0 "pmuludq %xmm1, %xmm0"
measured latency shufps 1 0 "shufps $0x1b, %xmm0, %xmm0"
measured latency addps 1 0 "addps %xmm1, %xmm0"
measured latency mulps 1 0 "mulps %xmm1, %xmm0"
measured latency fma 1 fma "vfmadd231ps %xmm1, %xmm2, %xmm0"
measured latency divps 1 0 "divps %xmm1, %xmm0"
measured latency sqrtps 1 0 "sqrtps %xmm0, %xmm0"
measured latency cvt 1 0 "cvtdq2ps %xmm0, %xmm0"
measured latency movq_there_and_back 1 0 "movq %rax, %xmm0; movq %xmm0, %rax"
measured latency aesenc 1 aes "aesenc %xmm1, %xmm0"
measured latency pclmul 1 pclmul "pclmulqdq $0, %xmm1, %xmm0"
measured latency fadd 1 0 "fadd %st(1), %st"
measured latency fmul 1 0 "fmul %st(1), %st"
measured latency fdiv 1 0 "fdiv %st(1), %st"
measured latency fsqrt 1 0 "fsqrt"

# The text before each of twelve registers (places).
.macro twelve_general text:vararg
        .irp register, rax, rbx, rdx, rbp, r8, r9, r10, r11, r12, r13, r14, r15
        \text %\register
        .endr
.endm
.macro twelve_vectors text:vararg
        .irp register, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
        \text %xmm\register
        .endr
.endm
.macro twelve_places text:vararg
        .irp place, 64, 72, 80, 88, 96, 104, 112, 120, 128, 136, 144, 152
        \text \place(%rsi)
        .endr
.endm
.macro six_of_the_stack text:vararg
        .irp register, 1, 2, 3, 4, 5, 6
        \text %st(\register)
        .endr
.endm

measured throughput nop 1 0 "nop"
measured throughput add 12 0 "twelve_general add %rcx,"
measured throughput imul 12 0 "twelve_general imul %rcx,"
measured throughput div 1 0 "mov %ecx, %eax; xor %edx, %edx; div %ecx"
measured throughput lea 12 0 "twelve_general lea 1(%rsi),"
measured throughput shift 12 0 "twelve_general shl $1,"
measured throughput load 12 0 "twelve_general mov 64(%rsi),"
measured throughput store 12 0 "twelve_places mov %rax,"
measured throughput paddd 12 0 "twelve_vectors paddd %xmm15,"
measured throughput pmuludq 12 0 "twelve_vectors pmuludq %xmm15,"
measured throughput shufps 12 0 "twelve_vectors shufps $0x1b, %xmm15,"
measured throughput addps 12 0 "twelve_vectors addps %xmm15,"
measured throughput mulps 12 0 "twelve_vectors mulps %xmm15,"
measured throughput fma 12 fma "twelve_vectors vfmadd231ps %xmm15, %xmm14,"
measured throughput divps 12 0 "twelve_vectors divps %xmm15,"
measured throughput sqrtps 12 0 "twelve_vectors sqrtps %xmm15,"
measured throughput cvt 12 0 "twelve_vectors cvtdq2ps %xmm15,"
measured throughput aesenc 12 aes "twelve_vectors aesenc %xmm15,"
measured throughput pclmul 12 pclmul "twelve_vectors pclmulqdq $0, %xmm15,"
measured throughput fadd 6 0 "six_of_the_stack fadd %st,"
measured throughput fmul 6 0 "six_of_the_stack fmul %st,"

        .section .rodata.micro_kernels, "a"
.globl micro_kernels_end
micro_kernels_end:

        .section .note.GNU-stack, "", @progbits
