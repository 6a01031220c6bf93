# Into a guest and back, with all registers that VM entries and exits leave to software (Intel SDM vol. 3, 26.3.2 and
# 27.5), and the entries of the guest's interrupt table.

.set host_rsp, 0x6c14
.set host_rip, 0x6c16

#include "guests/runtime/saved_registers.inc"

.text
.code64
# u64 vmx_enter(Registers* registers, u64 launched): 0 behind an exit, else RFLAGS of the failure
.globl vmx_enter, vmx_exit
vmx_enter:
        push_callee_saved
        push %rdi
        mov $host_rsp, %eax
        vmwrite %rsp, %rax
        mov $host_rip, %eax
        mov $vmx_exit, %ecx
        vmwrite %rcx, %rax
        test %esi, %esi
        mov 0(%rdi), %rax
        mov 8(%rdi), %rbx
        mov 16(%rdi), %rcx
        mov 24(%rdi), %rdx
        mov 32(%rdi), %rsi
        mov 48(%rdi), %rbp
        mov 56(%rdi), %r8
        mov 64(%rdi), %r9
        mov 72(%rdi), %r10
        mov 80(%rdi), %r11
        mov 88(%rdi), %r12
        mov 96(%rdi), %r13
        mov 104(%rdi), %r14
        mov 112(%rdi), %r15
        mov 40(%rdi), %rdi
        jnz 1f
        vmlaunch
        jmp 2f
1:      vmresume
2:      pushfq
        pop %rax
        jmp 3f
vmx_exit:
        push %rdi
        mov 8(%rsp), %rdi
        mov %rax, 0(%rdi)
        mov %rbx, 8(%rdi)
        mov %rcx, 16(%rdi)
        mov %rdx, 24(%rdi)
        mov %rsi, 32(%rdi)
        mov %rbp, 48(%rdi)
        mov %r8, 56(%rdi)
        mov %r9, 64(%rdi)
        mov %r10, 72(%rdi)
        mov %r11, 80(%rdi)
        mov %r12, 88(%rdi)
        mov %r13, 96(%rdi)
        mov %r14, 104(%rdi)
        mov %r15, 112(%rdi)
        pop %rcx
        mov %rcx, 40(%rdi)
        xor %eax, %eax
3:      cld
        pop %rdi
        pop_callee_saved
        ret

# u64 vmx_enter_behind_mov_ss(): VMLAUNCH in the shadow of MOV SS; RFLAGS
.globl vmx_enter_behind_mov_ss
vmx_enter_behind_mov_ss:
        mov %ss, %eax
        mov %eax, %ss
        vmlaunch
        pushfq
        pop %rax
        ret

# 16 bytes for each vector.
.globl guest_entries
.align 16
guest_entries:
.rept 256
        .align 16
        vmcall
        hlt
.endr
