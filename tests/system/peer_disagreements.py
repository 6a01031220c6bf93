"""Where QEMU's interpreter (7.2) or Debian's Bochs (2.7) print another line than the manual asks for.

The whole-guest comparison (peers_test.py) wants equal lines on all three, but for the rows below: a pattern that the
beginning of the simulated machine's line matches, the simulators that deviate, the manual's section that decides, and
what they do instead. A row that no line needs any longer fails the test."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Row:
    guest: str
    pattern: str
    deviating: tuple
    section: str
    reason: str


QEMU, BOCHS, BOTH = ("qemu",), ("bochs",), ("qemu", "bochs")
RF = "SDM vol. 3, 17.3.1.1"
EXT = "SDM vol. 3, 6.13"

ROWS = [
    # --- protected: QEMU's interpreter checks neither limits nor null segments at accesses
    Row("protected", r"limit", QEMU, "SDM vol. 3, 5.3", "no limits"),
    Row("protected", r"read through a null segment", QEMU, "SDM vol. 3, 5.4.1", "null segments are read"),
    Row("protected", r"(gate offset|int, offset) beyond the limit", QEMU, "SDM vol. 3, 5.3", "no limit of the target"),
    Row("protected", r"(call|interrupt) to an inner stack, above its limit", QEMU, "SDM vol. 3, 5.3",
        "no limit of the stack"),
    Row("protected", r"v86 (word at ffff|beyond 64 KiB)", QEMU, "SDM vol. 3, 20.1.1", "no limits in virtual-8086 mode"),
    # --- protected: selectors and gates
    Row("protected", r"ltr null", QEMU, "SDM vol. 2, LTR", "a null selector is accepted"),
    Row("protected", r"gate 8[4c] ljmp", QEMU, "SDM vol. 2, JMP",
        "an absent target of JMP through a gate is #GP, not #NP"),
    Row("protected", r"gate 8[4c] lcall", QEMU, "SDM vol. 3, 5.8.4",
        "a conforming target of a gate is entered at its DPL"),
    Row("protected", r"(call|interrupt) to an inner stack, absent", QEMU, "SDM vol. 2, CALL and INT n",
        "an absent inner stack is #TS, not #SS"),
    Row("protected", r"lret to a stack, absent", QEMU, "SDM vol. 2, RET", "an absent stack is #NP, not #SS"),
    Row("protected", r"call with a tss of limit 1[12]", BOTH, "SDM vol. 2, CALL: TSSstackAddress + 5",
        "two bytes more than ESP1 and SS1 are asked for"),
    Row("protected", r"(jmp to|call to) a task, in the ldt|int, task gate to the ldt", QEMU,
        "SDM vol. 2, JMP, CALL, INT n", "a TSS in the LDT is #TS, not #GP"),
    # --- protected: error codes and flags of exceptions
    Row("protected", r"#UD(,| cpl| with)", QEMU, EXT, "EXT is never set"),
    Row("protected", r"#NP through a task gate|frame of #NP", QEMU, RF, "RF is not pushed as 1 by faults"),
    Row("protected", r".* flags 10...$", QEMU, RF, "RF is not pushed as 1 by faults"),
    Row("protected", r"(iret|popf) with flags", QEMU, "SDM vol. 2, IRET and POPF",
        "VIF and VIP are not as IRET loads or POPF keeps them"),
    Row("protected", r"mov cr1 cpl3", QEMU, "SDM vol. 3, table 6-2", "privilege before the undefined opcode"),
    Row("protected", r"(v86 )?int1 ", QEMU, "SDM vol. 2, INT1", "INT1 is undefined"),
    # --- protected: tasks
    Row("protected", r"new task, (ldt|cs|ss|ds|es|fs|gs|level)", QEMU, "SDM vol. 3, 7.3",
        "a fault of the new task is told with the old one's EIP"),
    Row("protected", r"new task, debug trap", QEMU, "SDM vol. 3, 17.3.1.5", "the T flag is ignored"),
    # --- protected: virtual interrupts
    Row("protected", r"v86 (pushf|popf|cli|sti|iret|int 21) .*vme1|v86 (popf|iret|sti) image \w+ with vip", QEMU,
        "SDM vol. 3, 20.3", "no VME"),
    Row("protected", r"(cli|sti) cpl3 pvi", QEMU, "SDM vol. 3, 20.4", "no PVI, and VIP for VIF"),
    Row("protected", r"v86 int3 to code of level 1", QEMU, "SDM vol. 3, 20.3",
        "virtual-8086 mode ends at another level"),
    # --- protected: debugging
    Row("protected", r"general detect", QEMU, "SDM vol. 3, 17.2.4", "no DR7.GD"),
    Row("protected", r"breakpoint, rep stosb", BOTH, RF, "RF is not pushed as 1 between iterations"),
    Row("protected", r"step fault", QEMU, RF, "RF is not pushed as 1 by faults"),
    Row("protected", r"breakpoint, port, de off", QEMU, "SDM vol. 3, 17.2.4", "I/O breakpoints without CR4.DE"),
    Row("protected", r"alignment cpl3 am ac", QEMU, "SDM vol. 3, 6.15 (#AC)", "no alignment checks"),
    Row("protected", r"#BR with", QEMU, EXT, "EXT is never set"),
    Row("protected", r"general detect", BOCHS, RF, "RF is not pushed as 1 by this fault"),
    Row("protected", r"dr4 with de", QEMU, RF, "RF is not pushed as 1 by faults"),
    Row("protected", r"(execution breakpoint behind|mov ss from a watched)", QEMU, "SDM vol. 3, 6.8.3",
        "MOV SS does not hold debug exceptions back"),
    Row("protected", r"execution breakpoint with rf", QEMU, RF, "RF outlives the instruction"),
    # --- long_mode: QEMU
    Row("long_mode", r"ltr cpl0", QEMU, "SDM vol. 3, 3.5 and 7.2.2", "16-bit TSSs are still loaded"),
    Row("long_mode", r"(lar|lsl) cpl", QEMU, "SDM vol. 2, LAR and LSL", "the types of 32-bit mode are still accepted"),
    Row("long_mode", r"(mov ss|ltr) of", QEMU, "SDM vol. 2, MOV and LTR", "null selectors are accepted"),
    Row("long_mode", r"(lldt|ltr) with upper half", QEMU, "SDM vol. 3, 3.5.2", "the upper half is not checked"),
    Row("long_mode", r"address (stack|push|pop)", QEMU, "SDM vol. 1, 3.3.7.1", "not canonical is #GP on the stack too"),
    Row("long_mode", r"address (jmp|call|ret)", QEMU, "SDM vol. 2, JMP, CALL, RET",
        "a target that is not canonical faults at the target"),
    Row("long_mode", r"address (load [28]|push|pop|fs|store|load|movs)", QEMU, "SDM vol. 1, 3.3.7.1",
        "only the first byte must be canonical"),
    Row("long_mode", r"compatibility, (limit|push below zero)", QEMU, "SDM vol. 3, 5.3",
        "no limits, and no wrap at 4 GiB"),
    Row("long_mode", r"compatibility, into", QEMU, "SDM vol. 3, 6.13", "the error code scales the vector by 16"),
    Row("long_mode", r"(ljmp|lcall) cpl\d flags 0xe0", QEMU, "SDM vol. 3, 5.2.1", "L and D may both be set"),
    Row("long_mode", r"gate ljmp", QEMU, "SDM vol. 2, JMP",
        "an absent target of JMP through a gate is #GP, not #NP"),
    Row("long_mode", r"gate lcall", QEMU, "SDM vol. 3, 5.8.4",
        "a conforming target of a gate is entered at its DPL"),
    Row("long_mode", r"call gate, not canonical", QEMU, "SDM vol. 2, CALL", "the fault comes at the target"),
    Row("long_mode", r"call gate to a stack", QEMU, "SDM vol. 2, CALL", "RIP of the fault is the block's"),
    Row("long_mode", r"(lretq?|iretq?) cpl\d rpl\d flags 0xe0", QEMU, "SDM vol. 3, 5.2.1", "L and D may both be set"),
    Row("long_mode", r"lretq? to a stack, absent", QEMU, "SDM vol. 2, RET", "an absent stack is #NP, not #SS"),
    Row("long_mode", r"(iretq|popfq) with flags", QEMU, "SDM vol. 2, IRET and POPF",
        "VIF and VIP are not as IRET loads or POPF keeps them"),
    Row("long_mode", r"(int|#UD) from \w+ through", QEMU, "SDM vol. 3, 6.13",
        "error codes scale the vector by 16, and EXT is never set"),
    Row("long_mode", r"#UD from|#UD, gate", QEMU, EXT, "EXT is never set"),
    Row("long_mode", r"handler's stack", QEMU, RF,
        "RF is not pushed as 1 by faults; SS becomes null without a change of level"),
    Row("long_mode", r"int, gate, not canonical", QEMU, "SDM vol. 2, INT n", "the fault comes at the target"),
    Row("long_mode", r"syscall from", QEMU, "SDM vol. 2, SYSCALL", "the status flags are lost"),
    Row("long_mode", r"sys(enter|exit)", QEMU, "SDM vol. 2, SYSENTER",
        "its processor is AMD's, which has no SYSENTER in long mode (APM vol. 3)"),
    Row("long_mode", r"sysret, rip not canonical", QEMU, "SDM vol. 2, SYSRET",
        "its processor is AMD's, which faults at the target (APM vol. 3)"),
    Row("long_mode", r"page cpl\d .*locked", QEMU, "SDM vol. 3, 4.7",
        "a locked instruction faults as the read, not the write"),
    Row("long_mode", r"entry with physical|large page with a reserved", QEMU, "SDM vol. 3, 4.7",
        "P is not set in the error code of a reserved bit"),
    # --- long_mode: Bochs
    Row("long_mode", r"(int|#UD) from \w+ to flags 0x[ce]0", BOCHS, "SDM vol. 2, INT n: type, then presence",
        "a code segment of another width is #GP even if it is absent"),
    Row("long_mode", r"iret to a stack", BOCHS, "SDM vol. 3, 6.14.3",
        "IRET with 32-bit operands in 64-bit mode pops no SS:RSP"),
    Row("long_mode", r"call gate to a stack at 0x8|handler's stack, (rsp0|ist1) not canonical", BOCHS,
        "SDM vol. 2, CALL and INT n",
        "#SS for a stack that is not canonical has the old SS as error code, not 0"),
    # --- processor: Bochs
    Row("processor", r"registers: MISC_ENABLE", BOCHS, "SDM vol. 4, table 2-2", "the register keeps nothing"),
    Row("processor", r"registers: machine-check banks", BOCHS, "SDM vol. 3, 15.3.2", "no banks"),
    Row("processor", r"registers: absent MSRs", BOCHS, "SDM vol. 2, RDMSR",
        "ignore_bad_msrs is on, which this guest needs"),
    Row("processor", r"debugging: general detect behind MOV SS", BOCHS, "SDM vol. 3, 6.8.3",
        "MOV SS holds general detect back"),
    Row("processor", r"debugging: MOV SS, watchpoint, INT", BOCHS, "SDM vol. 3, 6.8.3",
        "the data breakpoint of MOV SS is lost in the interrupt behind it"),
    Row("processor", r"all checks passed", BOCHS, "the rows above", "what they make of the sum"),
    # --- interrupts: Bochs
    Row("interrupts", r"after one end of interrupt", BOCHS, "SDM vol. 3, 10.8.3.1",
        "a spurious interrupt for one that the priority in service holds back"),
    # --- svm: QEMU
    Row("svm", r"registers: efer with a reserved bit", QEMU, "APM vol. 2, 3.1.7", "reserved bits of EFER are ignored"),
    Row("svm", r"vm_cr: ", QEMU, "APM vol. 2, 15.30.1", "no VM_CR"),
    Row("svm", r"guest: skinit", QEMU, "APM vol. 3, SKINIT", "the intercept of an instruction that CPUID denies"),
    Row("svm", r"refused: the exit code's upper half", QEMU, "APM vol. 2, appendix C", "32 bits of -1"),
    Row("svm", r"refused: (nested cr3|pat)", QEMU, "APM vol. 2, 15.25.3 and 15.25.8", "no checks of nCR3 and G_PAT"),
    Row("svm", r"debug registers: \w+ of dr4, undefined", QEMU, "APM vol. 2, 15.8.1", "the intercept before #UD"),
    Row("svm", r"selective cr0 write: lmsw", QEMU, "APM vol. 2, table 15-7",
        "LMSW is intercepted only if it changes something"),
    Row("svm", r"intercept.*: (invd|rdtscp|icebp|xsetbv)|intercept in other modes: .*icebp|all but its own: rdtscp", QEMU,
        "APM vol. 2, 15.9", "RDTSCP has RDTSC's intercept, INVD has WBINVD's, ICEBP and XSETBV have none"),
    Row("svm", r"mwait when armed", QEMU, "APM vol. 3, MWAIT; vol. 2, 15.9",
        "no intercept of an armed MWAIT, and one that is not armed waits"),
    Row("svm", r"undefined or refused first: cpuid with lock", QEMU, "APM vol. 3, 1.2.5", "LOCK is ignored"),
    Row("svm", r"(exception|all other exceptions): icebp", QEMU, "APM vol. 2, 15.12.2", "ICEBP passes the intercept of #DB"),
    Row("svm", r"exception: (int3|into)", QEMU, "APM vol. 2, 15.12.4 and 15.12.5", "no intercepts of INT3 and INTO"),
    Row("svm", r"exception: stack not canonical", QEMU, "APM vol. 2, 1.3.2", "#GP, not #SS"),
    Row("svm", r"exception: general protection, int", QEMU, "APM vol. 2, 8.4.1", "the error code scales the vector by 16"),
    Row("svm", r"(exception|all other exceptions): alignment", QEMU, "APM vol. 2, 8.2.18", "no alignment checks"),
    Row("svm", r"(exception|all other exceptions): simd", QEMU, "APM vol. 2, 8.2.20", "no SIMD exceptions"),
    Row("svm", r"interrupted: int3", QEMU, "APM vol. 2, 15.20", "INT3 counts as INT n"),
    Row("svm", r"interrupted: double fault|inject, combined: #GP without", QEMU, "APM vol. 2, 15.12.9",
        "the intercept of the first exception is asked for"),
    Row("svm", r"i/o: ", QEMU, "APM vol. 2, 15.10.2", "no address size of string instructions"),
    Row("svm", r"task switch: ", QEMU, "APM vol. 2, 15.14.1", "no intercept of task switches"),
    Row("svm", r"ferr_freeze", QEMU, "APM vol. 2, 15.14.2", "no intercept of FERR"),
    Row("svm", r"inject, combined: interrupt without", QEMU, "APM vol. 2, 8.4.1", "the error code scales the vector by 16"),
    Row("svm", r"interrupt shadow: of the VMCB|halted guest: interrupt before|gif: the guest's own", QEMU,
        "APM vol. 2, 15.21.5", "the shadow of the VMCB holds no interrupt back"),
    Row("svm", r"virtual interrupt: (priority equal|intercepted, v_tpr)", QEMU, "APM vol. 2, 15.21.1",
        "a priority equal to V_TPR suffices"),
    Row("svm", r"virtual interrupt: behind mov cr8", QEMU, "APM vol. 2, 15.21.1", "a failed assertion ends it"),
    Row("svm", r"nested.*: reserved bit", QEMU, "APM vol. 2, 15.25.6", "P is not set for a reserved bit"),
    Row("svm", r"guest pat: ", QEMU, "APM vol. 2, 15.25.8", "the guest has the host's PAT"),
    Row("svm", r"restored: dr7", QEMU, "APM vol. 2, 15.6", "DR7 is left as it was"),
    Row("svm", r"vmload and vmsave: saved tr", QEMU, "APM vol. 3, LTR", "the type of TR is an available one"),
    Row("svm", r"vmload and vmsave: (vmsave of|saved by) a guest", QEMU, "APM vol. 2, 15.5.2", "it exits without its intercept"),
    Row("svm", r"tsc offset: \w+, rdmsr", QEMU, "APM vol. 2, 15.14.5", "RDMSR of the TSC has no offset"),
]
