# VMRUN of a host that is not in long mode (AMD APM vol. 2, ch. 15, "Nested paging": the host's paging mode is the nested
# tables').

#include "guests/runtime/saved_registers.inc"
#include "guests/virt/legacy_mode.inc"

.text
.code64
# void svm_enter_from_32_bits(u64 vmcb, u64 pae_pointers): what is in the VMCB runs under a host of 32 bits, with PAE paging,
# or for null with none.
.globl svm_enter_from_32_bits
svm_enter_from_32_bits:
        push_callee_saved
        mov %edi, %ebx
        mov %esi, %ebp
        leave_long_mode
        test %ebp, %ebp
        jz 1f
        page_by_pae %ebp
1:      clgi
        mov %esp, saved_stack
        mov %ebx, %eax
        vmrun
        mov saved_stack, %esp
        cli
        stgi
        return_to_long_mode
        pop_callee_saved
        cld
        ret

.data
.align 8
saved_stack: .quad 0
