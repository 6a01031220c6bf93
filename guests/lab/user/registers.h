/* What 64-bit and 32-bit programs do differently in start.S: the calling conventions (System V ABI) and the system call. */
/* clang-format off */

#ifdef __x86_64__

#define WORD .quad
#define PASS_FIRST_ARGUMENT
#define SYSTEM_CALL syscall
#define SAVE_ARGUMENT_REGISTERS
#define RESTORE_ARGUMENT_REGISTERS
#define LOAD_CALL_ARGUMENTS mov %rdi, %rax; mov %rsi, %rdi; mov %rdx, %rsi; mov %rcx, %rdx
#define COUNT %rbx
#define LOAD_COUNT push %rbx; mov %rdi, %rbx
#define RESTORE_COUNT pop %rbx

#else

#define WORD .long
#define PASS_FIRST_ARGUMENT push %edi
#define SYSTEM_CALL int $0x80
#define SAVE_ARGUMENT_REGISTERS push %edi; push %esi
#define RESTORE_ARGUMENT_REGISTERS pop %esi; pop %edi
#define LOAD_CALL_ARGUMENTS mov 12(%esp), %eax; mov 16(%esp), %edi; mov 20(%esp), %esi; mov 24(%esp), %edx
#define COUNT %ebx
#define LOAD_COUNT push %ebx; push %esi; mov 12(%esp), %ebx
#define RESTORE_COUNT pop %esi; pop %ebx

#endif

/* clang-format on */
