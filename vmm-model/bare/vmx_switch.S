# The world switch of VT-x (Intel SDM vol. 3, ch. 26 and 27), step by step:
#   1 save the hypervisor's registers    2 load the guest's    3 VMLAUNCH or VMRESUME: all the rest of the state
#   4 the guest is left: its registers are saved               5 load the hypervisor's
#
# eax = vmx_switch(edi = the VMCS has been launched, rsi = GeneralRegisters); RSP is the VMCS's.
# 0: there has been a guest, and why it was left is in the VMCS. 1: VMfailInvalid. 2: VMfailValid (30.2).

.set host_rsp, 0x6c14

.text
.globl vmx_switch
vmx_switch:
        # 1
        push %rbp
        push %rbx
        push %r12
        push %r13
        push %r14
        push %r15
        push %rsi
        mov $host_rsp, %eax
        vmwrite %rsp, %rax
        # 2: nothing from here on changes the flags that tell which instruction it is to be
        test %edi, %edi
        mov 0x00(%rsi), %rax
        mov 0x08(%rsi), %rcx
        mov 0x10(%rsi), %rdx
        mov 0x18(%rsi), %rbx
        mov 0x28(%rsi), %rbp
        mov 0x38(%rsi), %rdi
        mov 0x40(%rsi), %r8
        mov 0x48(%rsi), %r9
        mov 0x50(%rsi), %r10
        mov 0x58(%rsi), %r11
        mov 0x60(%rsi), %r12
        mov 0x68(%rsi), %r13
        mov 0x70(%rsi), %r14
        mov 0x78(%rsi), %r15
        mov 0x30(%rsi), %rsi
        # 3
        jnz 1f
        vmlaunch
        jmp 2f
1:      vmresume
        # There was no entry: CF without a current VMCS, ZF with one.
2:      mov $1, %eax
        jc 3f
        mov $2, %eax
3:      pop %rsi
        jmp 4f

.globl vmx_exit
vmx_exit:
        # 4: VM exit has loaded RSP and RIP, flags are clear, interrupts are off
        push %rsi
        mov 8(%rsp), %rsi
        mov %rax, 0x00(%rsi)
        mov %rcx, 0x08(%rsi)
        mov %rdx, 0x10(%rsi)
        mov %rbx, 0x18(%rsi)
        mov %rbp, 0x28(%rsi)
        mov %rdi, 0x38(%rsi)
        mov %r8, 0x40(%rsi)
        mov %r9, 0x48(%rsi)
        mov %r10, 0x50(%rsi)
        mov %r11, 0x58(%rsi)
        mov %r12, 0x60(%rsi)
        mov %r13, 0x68(%rsi)
        mov %r14, 0x70(%rsi)
        mov %r15, 0x78(%rsi)
        pop %rax
        mov %rax, 0x30(%rsi)
        pop %rsi
        xor %eax, %eax
        # 5
4:      pop %r15
        pop %r14
        pop %r13
        pop %r12
        pop %rbx
        pop %rbp
        ret
.section .note.GNU-stack, "", @progbits
