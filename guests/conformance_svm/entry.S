# Into a guest and back, with all state that VMRUN leaves to software (AMD APM vol. 2, 15.5 and 15.6), and the entries of
# the guest's interrupt table.

#include "guests/runtime/saved_registers.inc"

.text
.code64
# void svm_enter(Registers* registers, u64 vmcb)
.globl svm_enter
svm_enter:
        push_callee_saved
        push %rdi
        clgi
        mov $host_state, %eax
        vmsave
        mov %rsi, %rax
        vmload
        push host_flags
        popfq
        mov 0(%rdi), %rbx
        mov 8(%rdi), %rcx
        mov 16(%rdi), %rdx
        mov 24(%rdi), %rsi
        mov 40(%rdi), %rbp
        mov 48(%rdi), %r8
        mov 56(%rdi), %r9
        mov 64(%rdi), %r10
        mov 72(%rdi), %r11
        mov 80(%rdi), %r12
        mov 88(%rdi), %r13
        mov 96(%rdi), %r14
        mov 104(%rdi), %r15
        mov 32(%rdi), %rdi
        vmrun
        push %rdi
        mov 8(%rsp), %rdi
        mov %rbx, 0(%rdi)
        mov %rcx, 8(%rdi)
        mov %rdx, 16(%rdi)
        mov %rsi, 24(%rdi)
        mov %rbp, 40(%rdi)
        mov %r8, 48(%rdi)
        mov %r9, 56(%rdi)
        mov %r10, 64(%rdi)
        mov %r11, 72(%rdi)
        mov %r12, 80(%rdi)
        mov %r13, 88(%rdi)
        mov %r14, 96(%rdi)
        mov %r15, 104(%rdi)
        pop %rcx
        mov %rcx, 32(%rdi)
        pushfq
        pop host_flags_after
        vmsave
        mov $host_state, %eax
        vmload
        cli
        stgi
        cld
        pop %rdi
        pop_callee_saved
        ret

# 16 bytes for each vector.
.globl guest_entries
.align 16
guest_entries:
.rept 256
        .align 16
        vmmcall
        hlt
.endr

.data
.align 8
.globl host_flags, host_flags_after
host_flags:       .quad 2
host_flags_after: .quad 0

.bss
.align 4096
host_state: .skip 4096
