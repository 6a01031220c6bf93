# Entries, one after the other, with nothing in between.

#include "guests/runtime/saved_registers.inc"

.text
.code64

# void svm_rounds(u64 vmcb, u64 count): rAX is the host's own (AMD APM vol. 2, 15.5.1); the guest leaves rcx alone.
.globl svm_rounds
svm_rounds:
        push_callee_saved
        mov %rdi, %rax
        mov %rsi, %rcx
        clgi
        .align 16
1:      vmrun
        dec %rcx
        jnz 1b
        stgi
        pop_callee_saved
        ret

# u64 vmx_rounds(u64 count, u64 launched): 0, or 1 if an entry failed. Exits come to 2, with the stack as it is now; the guest
# leaves rdi alone.
.set host_rsp, 0x6c14
.set host_rip, 0x6c16
.globl vmx_rounds
vmx_rounds:
        push_callee_saved
        mov $host_rsp, %eax
        vmwrite %rsp, %rax
        mov $host_rip, %eax
        lea 2f(%rip), %rdx
        vmwrite %rdx, %rax
        test %rsi, %rsi
        jnz 1f
        vmlaunch
        jmp 3f
1:      vmresume
        jmp 3f
        .align 16
2:      dec %rdi
        jz 4f
        vmresume
3:      mov $1, %eax
        pop_callee_saved
        ret
4:      xor %eax, %eax
        pop_callee_saved
        ret

# What a guest is left for; each exit leaves RIP where it is.
.globl trap_vmcall, trap_vmmcall, trap_cpuid, trap_hlt, trap_in, trap_rdmsr, trap_cr3, trap_fault, trap_second_stage
trap_vmcall:       vmcall
trap_vmmcall:      vmmcall
trap_cpuid:        cpuid
trap_hlt:          hlt
trap_in:           in $0x80, %al
trap_rdmsr:        rdmsr
trap_cr3:          mov %rax, %cr3
trap_fault:        movabs 0x8000000000, %al
trap_second_stage: movabs 0xc0000000, %al
