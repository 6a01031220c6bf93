# The programs' image, as it lies in a process' memory.

.section .rodata
.balign 4096
.globl user_image
user_image:
        .incbin LAB_USER_IMAGE
.balign 4096
.section .note.GNU-stack, "", @progbits
