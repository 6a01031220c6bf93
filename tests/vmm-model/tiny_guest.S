# A Multiboot guest of a few hundred bytes, as data of a test: pages its own memory, changes a mapping and uses it, takes a
# breakpoint, an overflow and a timer's interrupt, says so on the serial line, and ends through the debug-exit port.

.section .rodata
.balign 4096
.globl tiny_guest, tiny_guest_end
.set load, 0x100000
.macro at register, label                  # the address that the guest has the label at
        mov $(load + \label - tiny_guest), \register
.endm
.macro gate vector, handler
        at %eax, \handler
        mov %ax, load + 0x6000 + \vector * 8
        movw $8, load + 0x6002 + \vector * 8
        movw $0x8e00, load + 0x6004 + \vector * 8
        shr $16, %eax
        mov %ax, load + 0x6006 + \vector * 8
.endm

.code32
tiny_guest:
        .long 0x1badb002, 0x10000, -(0x1badb002 + 0x10000)
        .long load, load, 0, load + 0x8000, load + entry - tiny_guest
.set directory, load + 0x4000
.set table, load + 0x5000

entry:
        mov $(load + 0x8000), %esp
        cli
        # One table: 4 KiB pages, the first 2 MiB at their own addresses.
        mov $directory, %edi
        xor %eax, %eax
        mov $2048, %ecx
        rep stosl
        movl $(table + 3), directory
        mov $table, %edi
        mov $3, %eax
        mov $512, %ecx
1:      stosl
        add $4096, %eax
        loop 1b
        # The interrupt descriptor table is at two more addresses, at each first read while an event is delivered.
        movl $(load + 0x6003), table + 0x1c0 * 4
        movl $(load + 0x6003), table + 0x1c1 * 4
        mov $directory, %eax
        mov %eax, %cr3
        mov %cr0, %eax
        or $0x80010000, %eax
        mov %eax, %cr0
        # The page at 0x180000 has another page's memory behind it in each round.
        mov $16, %ebx
2:      mov %ebx, %eax
        shl $12, %eax
        lea 0x190003(%eax), %edx
        mov %edx, table + 0x180 * 4
        invlpg 0x180000
        mov %ebx, 0x180000
        cmp %ebx, 0x190000(%eax)
        jne failed
        dec %ebx
        jnz 2b
        mov %cr3, %eax                      # all translations forgotten
        mov %eax, %cr3
        at %esi, text
        call print
        # A tick of the PIT, through the PICs, ends a loop, and another HLT.
        at %eax, gdt_pointer
        lgdt (%eax)
        ljmp $8, $(load + 3f - tiny_guest)
3:      mov $16, %eax
        mov %eax, %ds
        mov %eax, %ss
        gate 3, trap
        gate 4, trap
        gate 0x20, tick
        xor %ebp, %ebp
        at %eax, breakpoint_idt_pointer
        lidt (%eax)
        int3
        at %eax, idt_pointer
        lidt (%eax)
        mov $0x7f, %al
        inc %al
        into
        cmp $2, %ebp                        # each once, and back behind it
        jne failed
        at %esi, trapped
        call print
        mov $0x11, %al
        out %al, $0x20
        mov $0x20, %al
        out %al, $0x21
        mov $4, %al
        out %al, $0x21
        mov $1, %al
        out %al, $0x21
        mov $0xfe, %al
        out %al, $0x21
        xor %ebp, %ebp
        call one_tick
        sti
        mov $20000000, %ecx                 # nothing exits here but the machine's timer
4:      dec %ecx
        jz failed
        test %ebp, %ebp
        jz 4b
        call one_tick
        hlt
        cli
        cmp $2, %ebp
        jne failed
        at %esi, ticked
        call print
        xor %eax, %eax
        out %eax, $0xf4
failed: mov $1, %eax
        out %eax, $0xf4
        hlt

trap:   inc %ebp
        iret

tick:   inc %ebp
        mov $0x20, %al
        out %al, $0x20
        iret

one_tick:
        mov $0x30, %al
        out %al, $0x43
        mov $0x00, %al
        out %al, $0x40
        mov $0x02, %al
        out %al, $0x40
        ret

print:  lodsb
        test %al, %al
        jz 1f
        mov $0x3f8, %dx
        out %al, %dx
        jmp print
1:      ret

text:   .asciz "pages\n"
trapped: .asciz "traps taken\n"
ticked: .asciz "tick\n"
.balign 8
gdt:    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
        .word 23
        .long load + gdt - tiny_guest
breakpoint_idt_pointer:
        .word 0x21 * 8 - 1
        .long 0x1c0000
idt_pointer:
        .word 0x21 * 8 - 1
        .long 0x1c1000
tiny_guest_end:
.section .note.GNU-stack, "", @progbits
