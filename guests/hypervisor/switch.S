# Entries, one after the other, with nothing in between.

.text
.code64

.macro save_registers
        push %rbx
        push %rbp
        push %r12
        push %r13
        push %r14
        push %r15
.endm

.macro restore_registers
        pop %r15
        pop %r14
        pop %r13
        pop %r12
        pop %rbp
        pop %rbx
.endm

# void svm_rounds(u64 vmcb, u64 count): rAX is the host's own (AMD APM vol. 2, 15.5.1); the guest leaves rcx alone.
.globl svm_rounds
svm_rounds:
        save_registers
        mov %rdi, %rax
        mov %rsi, %rcx
        clgi
        .align 16
1:      vmrun
        dec %rcx
        jnz 1b
        stgi
        restore_registers
        ret

# u64 vmx_rounds(u64 count, u64 launched): 0, or 1 if an entry failed. Exits come to 2, with the stack as it is now; the guest
# leaves rdi alone.
.set host_rsp, 0x6c14
.set host_rip, 0x6c16
.globl vmx_rounds
vmx_rounds:
        save_registers
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
        restore_registers
        ret
4:      xor %eax, %eax
        restore_registers
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
