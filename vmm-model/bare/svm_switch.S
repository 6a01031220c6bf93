# The world switch of AMD-V (APM vol. 2, 15.5), step by step:
#   1 save the hypervisor's registers    2 load the guest's    3 VMRUN: all the rest of the state, by one instruction
#   4 save the guest's registers         5 load the hypervisor's
#
# svm_switch(rdi = VMCB, rsi = page for the hypervisor's state, rdx = GeneralRegisters): physical is linear here.

.text
.globl svm_switch
svm_switch:
        # 1
        push %rbp
        push %rbx
        push %r12
        push %r13
        push %r14
        push %r15
        push %rdx
        push %rsi
        push %rdi
        mov %rsi, %rax
        vmsave                              # FS, GS, TR, LDTR and the system-call MSRs
        clgi                                # nothing comes between here and the guest,
        sti                                 # and in the guest everything makes it exit
        # 2
        mov %rdi, %rax
        vmload
        mov 0x08(%rdx), %rcx
        mov 0x18(%rdx), %rbx
        mov 0x28(%rdx), %rbp
        mov 0x30(%rdx), %rsi
        mov 0x38(%rdx), %rdi
        mov 0x40(%rdx), %r8
        mov 0x48(%rdx), %r9
        mov 0x50(%rdx), %r10
        mov 0x58(%rdx), %r11
        mov 0x60(%rdx), %r12
        mov 0x68(%rdx), %r13
        mov 0x70(%rdx), %r14
        mov 0x78(%rdx), %r15
        mov 0x10(%rdx), %rdx
        # 3
        vmrun
        # 4: RAX holds the VMCB again, the guest's is in it, as is RSP
        push %rdx
        mov 24(%rsp), %rdx
        mov %rcx, 0x08(%rdx)
        mov %rbx, 0x18(%rdx)
        mov %rbp, 0x28(%rdx)
        mov %rsi, 0x30(%rdx)
        mov %rdi, 0x38(%rdx)
        mov %r8, 0x40(%rdx)
        mov %r9, 0x48(%rdx)
        mov %r10, 0x50(%rdx)
        mov %r11, 0x58(%rdx)
        mov %r12, 0x60(%rdx)
        mov %r13, 0x68(%rdx)
        mov %r14, 0x70(%rdx)
        mov %r15, 0x78(%rdx)
        pop %rcx
        mov %rcx, 0x10(%rdx)
        # 5
        pop %rax
        vmsave
        pop %rax
        vmload
        pop %rdx
        cli
        stgi
        pop %r15
        pop %r14
        pop %r13
        pop %r12
        pop %rbx
        pop %rbp
        cld
        ret
.section .note.GNU-stack, "", @progbits
