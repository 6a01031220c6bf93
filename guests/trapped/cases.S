# The instructions, each with its operand in memory at RDI, or with the stack there; then a return. RAX, RBX, RCX, RDX, R8 and the
# vector registers 0 … 2 hold anything, as do the flags but for TF, IF and DF.

.set FLAGS, 0                               # all flags are compared
.set NO_AF, 0x10
.set SHIFT, 0x810                           # OF and AF
.set ROTATE, 0x800
.set MULTIPLY, 0xd4
.set DIVIDE, 0x8d5
.set SCAN, 0x895
.set BIT, 0x894
.set FIELD, 0x94
.set ALIGNED, 1 << 32                       # the operand is, to 32 bytes
.set SSE3, 1 << 40
.set SSE41, 2 << 40
.set CX16, 3 << 40
.set POPCNT, 4 << 40
.set MOVBE, 5 << 40
.set SSE42, 6 << 40
.set AVX, 7 << 40
.set AVX2, 8 << 40
.set BMI1, 9 << 40
.set BMI2, 10 << 40
.set LZCNT, 11 << 40
.set ADX, 12 << 40

.section .rodata.cases, "a"
.balign 8
.globl trapped_cases
trapped_cases:

# case NAME, what of the above it is, instructions
.macro case name, what, code
.section .rodata.names, "a"
7:      .asciz "\name"
.section .text.cases, "ax"
8:      \code
        ret
.section .rodata.cases
        .quad 7b, 8b, \what
.endm

# The same on the stack that begins at RDI; R15 is the real one's pointer meanwhile.
.macro on_stack name, what, code
        case "\name", \what, "mov %rsp, %r15; mov %rdi, %rsp; \code; mov %rsp, %rdi; mov %r15, %rsp; mov $0, %r15d"
.endm

.irp op, add, adc, sub, sbb, cmp
        case "\op r8 to m8", FLAGS, "\op\()b %cl, (%rdi)"
        case "\op r16 to m16", FLAGS, "\op\()w %cx, (%rdi)"
        case "\op r32 to m32", FLAGS, "\op\()l %ecx, (%rdi)"
        case "\op r64 to m64", FLAGS, "\op\()q %rcx, (%rdi)"
        case "\op m8 to r8", FLAGS, "\op\()b (%rdi), %ch"
        case "\op m64 to r64", FLAGS, "\op\()q (%rdi), %rcx"
        case "\op imm8 to m32", FLAGS, "\op\()l $-7, (%rdi)"
        case "\op imm32 to m64", FLAGS, "\op\()q $0x87654321 - (1 << 32), (%rdi)"
.endr
.irp op, or, and, xor, test
        case "\op r8 to m8", NO_AF, "\op\()b %dh, (%rdi)"
        case "\op r32 to m32", NO_AF, "\op\()l %ecx, (%rdi)"
        case "\op r64 to m64", NO_AF, "\op\()q %rcx, (%rdi)"
        case "\op imm16 to m16", NO_AF, "\op\()w $0x8f31, (%rdi)"
.endr
.irp op, inc, dec, neg, not
        case "\op m8", FLAGS, "lock \op\()b (%rdi)"
        case "\op m16", FLAGS, "\op\()w (%rdi)"
        case "\op m32", FLAGS, "lock \op\()l (%rdi)"
        case "\op m64", FLAGS, "\op\()q (%rdi)"
.endr
.irp op, rol, ror
        case "\op m8 by cl", ROTATE, "\op\()b %cl, (%rdi)"
        case "\op m32 by 1", FLAGS, "\op\()l (%rdi)"
        case "\op m64 by imm8", ROTATE, "\op\()q $13, (%rdi)"
.endr
.irp op, rcl, rcr
        case "\op m16 by cl", ROTATE, "\op\()w %cl, (%rdi)"
        case "\op m32 by 1", FLAGS, "\op\()l (%rdi)"
        case "\op m64 by imm8", ROTATE, "\op\()q $13, (%rdi)"
.endr
.irp op, shl, shr, sar
        case "\op m8 by imm8", SHIFT, "\op\()b $3, (%rdi)"
        case "\op m32 by 1", NO_AF, "\op\()l (%rdi)"
        case "\op m32 by cl", SHIFT, "\op\()l %cl, (%rdi)"
        case "\op m64 by cl", SHIFT, "\op\()q %cl, (%rdi)"
.endr
.irp op, shld, shrd
        case "\op m32 by imm8", SHIFT, "\op\()l $7, %eax, (%rdi)"
        case "\op m64 by cl", SHIFT, "\op\()q %cl, %rax, (%rdi)"
.endr
.irp op, mul, imul
        case "\op m8", MULTIPLY, "\op\()b (%rdi)"
        case "\op m32", MULTIPLY, "\op\()l (%rdi)"
        case "\op m64", MULTIPLY, "\op\()q (%rdi)"
.endr
        case "imul m16 to r16", MULTIPLY, "imulw (%rdi), %ax"
        case "imul m32 by imm32", MULTIPLY, "imull $-123456, (%rdi), %eax"
        case "imul m64 by imm8", MULTIPLY, "imulq $-3, (%rdi), %rax"
        case "div m8", DIVIDE, "movzbl %al, %eax; movb $7, (%rdi); divb (%rdi)"
        case "div m32", DIVIDE, "xorl %edx, %edx; movb $7, (%rdi); divl (%rdi)"
        case "div m64", DIVIDE, "xorl %edx, %edx; movb $7, (%rdi); divq (%rdi)"
        case "idiv m64", DIVIDE, "movl %eax, %eax; xorl %edx, %edx; movb $7, (%rdi); idivq (%rdi)"
        case "mov r8 to m8", FLAGS, "movb %ch, (%rdi)"
        case "mov r64 to m64", FLAGS, "movq %rcx, (%rdi)"
        case "mov imm16 to m16", FLAGS, "movw $0x1234, (%rdi)"
        case "mov imm32 to m64", FLAGS, "movq $-5, (%rdi)"
        case "mov m16 to r16", FLAGS, "movw (%rdi), %cx"
        case "mov ds to m16", FLAGS, "movw %ds, (%rdi)"
        case "movzx m8", FLAGS, "movzbl (%rdi), %ecx"
        case "movzx m16", FLAGS, "movzwq (%rdi), %rcx"
        case "movsx m8", FLAGS, "movsbw (%rdi), %cx"
        case "movsx m16", FLAGS, "movswq (%rdi), %rcx"
        case "movsxd m32", FLAGS, "movslq (%rdi), %rcx"
        case "movnti m32", FLAGS, "movnti %ecx, (%rdi)"
        case "movnti m64", FLAGS, "movnti %rcx, (%rdi)"
        case "xchg m8", FLAGS, "xchgb %cl, (%rdi)"
        case "xchg m64", FLAGS, "xchgq %rcx, (%rdi)"
        case "lock xadd m32", FLAGS, "lock xaddl %ecx, (%rdi)"
        case "xadd m64", FLAGS, "xaddq %rcx, (%rdi)"
        case "lock cmpxchg m32", FLAGS, "lock cmpxchgl %ecx, (%rdi)"
        case "lock cmpxchg m32 equal", FLAGS, "movl (%rdi), %eax; lock cmpxchgl %ecx, (%rdi)"
        case "cmpxchg m64 equal", FLAGS, "movq (%rdi), %rax; cmpxchgq %rcx, (%rdi)"
        case "lock cmpxchg8b", FLAGS, "lock cmpxchg8b (%rdi)"
        case "lock cmpxchg8b equal", FLAGS, "movl (%rdi), %eax; movl 4(%rdi), %edx; lock cmpxchg8b (%rdi)"
        case "lock cmpxchg16b", ALIGNED + CX16, "lock cmpxchg16b (%rdi)"
        case "lock cmpxchg16b equal", ALIGNED + CX16, "movq (%rdi), %rax; movq 8(%rdi), %rdx; lock cmpxchg16b (%rdi)"
.irp op, bt, bts, btr, btc
        case "\op m32 by imm8", BIT, "\op\()l $19, (%rdi)"
        case "\op m16 by r16", BIT, "movzbl %cl, %ecx; \op\()w %cx, (%rdi)"
        case "\op m64 by r64", BIT, "movzbl %cl, %ecx; \op\()q %rcx, (%rdi)"
.endr
        case "lock bts m64 by r64", BIT, "movsbq %cl, %rcx; lock btsq %rcx, (%rdi)"
        case "bsf m32", SCAN, "bsfl (%rdi), %ecx"
        case "bsr m64", SCAN, "bsrq (%rdi), %rcx"
        case "popcnt m32", POPCNT, "popcntl (%rdi), %ecx"
        case "lzcnt m64", LZCNT + BIT, "lzcntq (%rdi), %rcx"
        case "tzcnt m32", BMI1 + BIT, "tzcntl (%rdi), %ecx"
        case "movbe m32", MOVBE, "movbe (%rdi), %ecx"
        case "movbe r64", MOVBE, "movbe %rcx, (%rdi)"
        case "crc32 m8", SSE42, "crc32b (%rdi), %ecx"
        case "crc32 m64", SSE42, "crc32q (%rdi), %rcx"
        case "adcx m64", ADX, "adcxq (%rdi), %rcx"
        case "adox m32", ADX, "adoxl (%rdi), %ecx"
        case "andn m64", BMI1 + 0x14, "andnq (%rdi), %rax, %rcx"
        case "blsr m64", BMI1 + 0x14, "blsrq (%rdi), %rcx"
        case "blsmsk m32", BMI1 + 0x14, "blsmskl (%rdi), %ecx"
        case "blsi m32", BMI1 + 0x14, "blsil (%rdi), %ecx"
        case "bextr m64", BMI1 + FIELD, "bextrq %rax, (%rdi), %rcx"
        case "bzhi m64", BMI2 + 0x14, "bzhiq %rax, (%rdi), %rcx"
        case "pext m64", BMI2, "pextq (%rdi), %rax, %rcx"
        case "pdep m32", BMI2, "pdepl (%rdi), %eax, %ecx"
        case "mulx m64", BMI2, "mulxq (%rdi), %rax, %rcx"
        case "shlx m64", BMI2, "shlxq %rax, (%rdi), %rcx"
        case "sarx m32", BMI2, "sarxl %eax, (%rdi), %ecx"
        case "shrx m64", BMI2, "shrxq %rax, (%rdi), %rcx"
        case "rorx m64", BMI2, "rorxq $11, (%rdi), %rcx"
.irp condition, o, c, z, be, s, p, l, le, no, nc, nz, a, ns, np, ge, g
        case "set\condition m8", FLAGS, "set\condition (%rdi)"
        case "cmov\condition m32", FLAGS, "cmov\condition (%rdi), %ecx"
.endr
        case "xlat", FLAGS, "mov %rdi, %rbx; and $31, %al; xlat"
        case "clflush", FLAGS, "clflush (%rdi)"

        on_stack "push r64", FLAGS, "push %rax"
        on_stack "push r16", FLAGS, "pushw %ax"
        on_stack "push imm8", FLAGS, "push $-3"
        on_stack "push m64", FLAGS, "pushq 8(%rsp)"
        on_stack "push m64 from the real stack", FLAGS, "pushq (%r15)"
        on_stack "push fs", FLAGS, "push %fs"
        on_stack "pushf", FLAGS, "pushfq"
        on_stack "pop r64", FLAGS, "pop %rcx"
        on_stack "pop m64", FLAGS, "popq 8(%rsp)"
        on_stack "pop m16", FLAGS, "popw (%rsp)"
        on_stack "popf", FLAGS, "pushfq; andl $0x8d5, (%rsp); popfq"
        on_stack "call and ret", FLAGS, "call 9f; jmp 6f; 9: ret $16; 6:"
        on_stack "call m64", FLAGS, "lea 9f(%rip), %rax; mov %rax, (%rsp); call *(%rsp); 9: mov $0, %eax"
        on_stack "jmp m64", FLAGS, "lea 9f(%rip), %rax; mov %rax, (%rsp); jmp *(%rsp); 9: mov $0, %eax"
        on_stack "enter", FLAGS, "enter $24, $0"
        on_stack "enter 3", FLAGS, "lea 32(%rsp), %rbp; enter $8, $3"
        on_stack "leave", FLAGS, "lea 16(%rsp), %rbp; leave"

        case "movsb", FLAGS, "lea 24(%rdi), %rsi; movsb"
        case "rep movsb", FLAGS, "lea -40(%rdi), %rsi; mov $37, %ecx; rep movsb"
        case "rep movsq", FLAGS, "lea -40(%rdi), %rsi; mov $5, %ecx; rep movsq"
        case "rep movsl down", FLAGS, "lea 16(%rdi), %rsi; mov $9, %ecx; std; rep movsl; cld"
        case "rep stosw", FLAGS, "mov $21, %ecx; rep stosw"
        case "rep stosq down", FLAGS, "mov $4, %ecx; std; rep stosq; cld"
        case "rep lodsl", FLAGS, "mov %rdi, %rsi; mov $6, %ecx; rep lodsl"
        case "repne scasb", FLAGS, "mov 17(%rdi), %al; mov $40, %ecx; repne scasb"
        case "repe scasl", FLAGS, "mov (%rdi), %eax; mov $5, %ecx; repe scasl"
        case "repe cmpsb", FLAGS, "lea -24(%rdi), %rsi; mov $30, %ecx; repe cmpsb"
        case "repe cmpsq of the same", FLAGS, "mov %rdi, %rsi; mov $6, %ecx; repe cmpsq"

.irp op, movups, movupd, movdqu
        case "\op load", FLAGS, "\op (%rdi), %xmm1"
        case "\op store", FLAGS, "\op %xmm1, (%rdi)"
.endr
.irp op, movaps, movdqa, pxor, andps, pandn, por
        case "\op load", ALIGNED, "\op (%rdi), %xmm1"
.endr
.irp op, movaps, movdqa, movntps, movntdq
        case "\op store", ALIGNED, "\op %xmm1, (%rdi)"
.endr
.irp op, movss, movsd, movlps, movhps, movlpd, movhpd, movq
        case "\op load", FLAGS, "\op (%rdi), %xmm1"
        case "\op store", FLAGS, "\op %xmm1, (%rdi)"
.endr
        case "movd load", FLAGS, "movd (%rdi), %xmm1"
        case "movd store", FLAGS, "movd %xmm1, (%rdi)"
        case "movq store", FLAGS, "movq %xmm1, (%rdi)"
        case "pinsrw", FLAGS, "pinsrw $5, (%rdi), %xmm1"
        case "maskmovdqu", FLAGS, "maskmovdqu %xmm2, %xmm1"
        case "stmxcsr", FLAGS, "stmxcsr (%rdi)"
        case "ldmxcsr", FLAGS, "movl $0x1fa0, (%rdi); ldmxcsr (%rdi); stmxcsr 4(%rdi); movl $0x1f80, (%rdi); ldmxcsr (%rdi)"
        case "fnstcw", FLAGS, "fnstcw (%rdi)"
        case "fldcw", FLAGS, "movw $0x27f, (%rdi); fldcw (%rdi); fnstcw 4(%rdi); movw $0x37f, (%rdi); fldcw (%rdi)"
        case "mmx load", FLAGS, "movq (%rdi), %mm3; movq2dq %mm3, %xmm1; emms"
        case "mmx store", FLAGS, "movdq2q %xmm1, %mm2; movq %mm2, (%rdi); movd %mm2, 8(%rdi); emms"
        case "mmx por", FLAGS, "movdq2q %xmm1, %mm2; por (%rdi), %mm2; movntq %mm2, 16(%rdi); emms"
.irp op, lddqu, movddup, movshdup, movsldup
.ifc \op, lddqu
        case "\op", SSE3, "\op (%rdi), %xmm1"
.else
        case "\op", ALIGNED + SSE3, "\op (%rdi), %xmm1"
.endif
.endr
        case "movntdqa", ALIGNED + SSE41, "movntdqa (%rdi), %xmm1"
        case "pextrb", SSE41, "pextrb $11, %xmm1, (%rdi)"
        case "pextrq", SSE41, "pextrq $1, %xmm1, (%rdi)"
        case "extractps", SSE41, "extractps $2, %xmm1, (%rdi)"
        case "pinsrb", SSE41, "pinsrb $9, (%rdi), %xmm1"
        case "pinsrd", SSE41, "pinsrd $3, (%rdi), %xmm1"
        case "insertps", SSE41, "insertps $0x9a, (%rdi), %xmm1"
        case "pmovsxbd", SSE41, "pmovsxbd (%rdi), %xmm1"
        case "pmovzxwq", SSE41, "pmovzxwq (%rdi), %xmm1"
        case "vmovups load", AVX, "vmovups (%rdi), %ymm1"
        case "vmovups store", AVX, "vmovups %ymm1, (%rdi)"
        case "vmovups xmm load", AVX, "vmovups (%rdi), %xmm1"
        case "vmovaps store", ALIGNED + AVX, "vmovaps %ymm1, (%rdi)"
        case "vmovss load", AVX, "vmovss (%rdi), %xmm1"
        case "vmovhps load", AVX, "vmovhps (%rdi), %xmm2, %xmm1"
        case "vmovddup ymm", AVX, "vmovddup (%rdi), %ymm1"
        case "vbroadcastss", AVX, "vbroadcastss (%rdi), %ymm1"
        case "vbroadcastf128", AVX, "vbroadcastf128 (%rdi), %ymm1"
        case "vinsertf128", AVX, "vinsertf128 $1, (%rdi), %ymm2, %ymm1"
        case "vextractf128", AVX, "vextractf128 $1, %ymm1, (%rdi)"
        case "vmaskmovps load", AVX, "vmaskmovps (%rdi), %ymm2, %ymm1"
        case "vmaskmovpd store", AVX, "vmaskmovpd %ymm1, %ymm2, (%rdi)"
        case "vxorps ymm", AVX, "vxorps (%rdi), %ymm2, %ymm1"
        case "vpbroadcastb", AVX2, "vpbroadcastb (%rdi), %ymm1"
        case "vpmovsxbw ymm", AVX2, "vpmovsxbw (%rdi), %ymm1"
        case "vpmaskmovq store", AVX2, "vpmaskmovq %ymm1, %ymm2, (%rdi)"

.section .rodata.cases
        .quad 0

# void run_case(Registers*, bool avx): the processor as it says, the case, and what has become of it.
.text
.globl run_case
run_case:
        push %rbx
        push %rbp
        push %r12
        push %r13
        push %r14
        push %r15
        push %rdi
        push %rsi
        test %esi, %esi
        jz 1f
        vmovups 0x80(%rdi), %ymm0
        vmovups 0xa0(%rdi), %ymm1
        vmovups 0xc0(%rdi), %ymm2
        jmp 2f
1:      movups 0x80(%rdi), %xmm0
        movups 0xa0(%rdi), %xmm1
        movups 0xc0(%rdi), %xmm2
2:      push 0x40(%rdi)
        push 0x48(%rdi)
        mov 0x00(%rdi), %rax
        mov 0x08(%rdi), %rcx
        mov 0x10(%rdi), %rdx
        mov 0x18(%rdi), %rbx
        mov 0x28(%rdi), %rbp
        mov 0x30(%rdi), %rsi
        mov 0x50(%rdi), %r8
        mov 0x38(%rdi), %rdi
        xor %r15d, %r15d
        popfq
        call *(%rsp)
        pushfq
        push %rdi
        mov 32(%rsp), %rdi                  # Registers
        mov %rax, 0x00(%rdi)
        mov %rcx, 0x08(%rdi)
        mov %rdx, 0x10(%rdi)
        mov %rbx, 0x18(%rdi)
        mov %rbp, 0x28(%rdi)
        mov %rsi, 0x30(%rdi)
        mov %r8, 0x50(%rdi)
        pop 0x38(%rdi)
        pop 0x48(%rdi)
        pop %rax
        pop %rsi
        pop %rdi
        test %esi, %esi
        jz 1f
        vmovups %ymm0, 0x80(%rdi)
        vmovups %ymm1, 0xa0(%rdi)
        vmovups %ymm2, 0xc0(%rdi)
        jmp 2f
1:      movups %xmm0, 0x80(%rdi)
        movups %xmm1, 0xa0(%rdi)
        movups %xmm2, 0xc0(%rdi)
2:      pop %r15
        pop %r14
        pop %r13
        pop %r12
        pop %rbp
        pop %rbx
        ret
.section .note.GNU-stack, "", @progbits
