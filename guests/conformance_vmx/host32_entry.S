# A VM entry of a host that is not in IA-32e mode, and its exit (Intel SDM vol. 3, "Checks related to address-space size").

#include "guests/runtime/saved_registers.inc"
#include "guests/virt/legacy_mode.inc"

.set host_rsp, 0x6c14
.set instruction_error, 0x4400
.set vmx_flags, 0x8d5

.text
.code64
# u64 vmx_enter_from_32_bits(u64 pae_pointers): from 64-bit mode outside VMX operation, with the VMCS at `vmcs_pointer`
# complete but for the host's RSP; 0 behind an exit or a failed entry with an exit reason, else RFLAGS of the failure. VMX
# operation is left again.
.globl vmx_enter_from_32_bits, vmx_exit_to_32_bits
vmx_enter_from_32_bits:
        push_callee_saved
        mov %edi, %ebx
        leave_long_mode
        page_by_pae %ebx
        vmxon vmxon_pointer
        vmptrld vmcs_pointer
        mov $host_rsp, %eax
        vmwrite %esp, %eax
        vmlaunch
        pushfl
        popl %eax
        and $vmx_flags, %eax
        jmp 1f
vmx_exit_to_32_bits:
        xor %eax, %eax
1:      mov %eax, flags_of_entry
        vmclear vmcs_pointer
        vmxoff
        return_to_long_mode
        pop_callee_saved
        mov flags_of_entry, %eax
        cld
        ret

.data
.align 8
.globl vmxon_pointer, vmcs_pointer
vmxon_pointer:  .quad 0
vmcs_pointer:   .quad 0
flags_of_entry: .long 0
