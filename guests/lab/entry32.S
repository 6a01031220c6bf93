# The switch from one kernel stack to another.

.text
.code32

# void switch_stacks(word* save, word load)
.globl switch_stacks
switch_stacks:
        mov 4(%esp), %eax
        mov 8(%esp), %edx
        push %ebx
        push %ebp
        push %esi
        push %edi
        mov %esp, (%eax)
        mov %edx, %esp
        pop %edi
        pop %esi
        pop %ebp
        pop %ebx
        ret
.section .note.GNU-stack, "", @progbits
