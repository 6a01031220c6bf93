// The system chapter of the opcode table. (Gates, far transfers and flags are core/events' chapter.)

#include "core/decode/bind.h"
#include "core/decode/row.h"
#include "core/system/semantics.h"

namespace bunshin {
namespace {

namespace in = semantics;

constexpr u32 supervisor = attr::privileged;
/// Changes mode, paging or interrupt state.
constexpr u32 ending_supervisor = attr::privileged | attr::ends_block;
// Privilege is checked behind the register's number, or a hypervisor's wishes.
constexpr u32 control_register = attr::force64;
constexpr u32 debug_register = attr::force64;

// clang-format off
constexpr Row rows[] = {
    // Control and debug registers. Their operand size is the mode's; prefixes do not count.
    {"0F 20 /r", "mov", {Op::Ry, Op::Cd}, plain<in::mov_from_cr>, Feature::Base, control_register},
    {"0F 21 /r", "mov", {Op::Ry, Op::Dd}, plain<in::mov_from_dr>, Feature::Base, debug_register},
    {"0F 22 /r", "mov", {Op::Cd, Op::Ry}, ending<in::mov_to_cr>, Feature::Base, control_register | attr::ends_block},
    {"0F 23 /r", "mov", {Op::Dd, Op::Ry}, ending<in::mov_to_dr>, Feature::Base, debug_register | attr::ends_block},
    {"0F 06", "clts", {}, ending<in::clts>, Feature::Base, ending_supervisor},
    {"0F 01 /4", "smsw", {Op::Ev}, plain<in::smsw>},
    {"0F 01 /6", "lmsw", {Op::Ew}, ending<in::lmsw>, Feature::Base, ending_supervisor},

    // Model-specific registers and identification.
    {"0F 32", "rdmsr", {}, plain<in::rdmsr>, Feature::Msr, attr::privileged | attr::alone},
    {"0F 30", "wrmsr", {}, ending<in::wrmsr>, Feature::Msr, attr::alone | ending_supervisor},
    {"0F A2", "cpuid", {}, plain<in::cpuid>},

    // Descriptor tables.
    {"0F 00 /0", "sldt", {Op::Ev}, plain<in::sldt>, Feature::Base, attr::protected_only},
    {"0F 00 /1", "str", {Op::Ev}, plain<in::str>, Feature::Base, attr::protected_only},
    {"0F 00 /4", "verr", {Op::Ew}, plain<in::verr>, Feature::Base, attr::protected_only},
    {"0F 00 /5", "verw", {Op::Ew}, plain<in::verw>, Feature::Base, attr::protected_only},
    {"0F 01 /0 mem", "sgdt", {Op::Ms}, plain<in::sgdt>},
    {"0F 01 /1 mem", "sidt", {Op::Ms}, plain<in::sidt>},
    {"0F 01 /2 mem", "lgdt", {Op::Ms}, plain<in::lgdt>, Feature::Base, supervisor},
    {"0F 01 /3 mem", "lidt", {Op::Ms}, plain<in::lidt>, Feature::Base, supervisor},
    {"0F 02 /r", "lar", {Op::Gv, Op::Ew}, plain<in::lar>, Feature::Base, attr::protected_only},
    {"0F 03 /r", "lsl", {Op::Gv, Op::Ew}, plain<in::lsl>, Feature::Base, attr::protected_only},
    {"63 /r", "arpl", {Op::Ew, Op::Gw}, plain<in::arpl>, Feature::Base, attr::protected_only | attr::invalid64},

    // Translation.
    {"0F 01 /7 mem", "invlpg", {Op::M}, ending<in::invlpg>, Feature::Base, ending_supervisor},
    {"66 0F 38 82 /r mem", "invpcid", {Op::Gy, Op::Mdq}, ending<in::invpcid>, Feature::Invpcid,
     ending_supervisor | attr::force64},
    {"0F 01 EE", "rdpkru", {}, plain<in::rdpkru>, Feature::Pku},
    {"0F 01 EF", "wrpkru", {}, ending<in::wrpkru>, Feature::Pku, attr::ends_block},

    // Bases, counters, random numbers.
    {"0F 01 F8", "swapgs", {}, plain<in::swapgs>, Feature::Lm, attr::privileged | attr::only64},
    {"F3 0F AE /0 reg", "rdfsbase", {Op::Ey}, plain<in::rdfsbase>, Feature::Fsgsbase, attr::only64},
    {"F3 0F AE /1 reg", "rdgsbase", {Op::Ey}, plain<in::rdgsbase>, Feature::Fsgsbase, attr::only64},
    {"F3 0F AE /2 reg", "wrfsbase", {Op::Ey}, plain<in::wrfsbase>, Feature::Fsgsbase, attr::only64},
    {"F3 0F AE /3 reg", "wrgsbase", {Op::Ey}, plain<in::wrgsbase>, Feature::Fsgsbase, attr::only64},
    {"0F 31", "rdtsc", {}, plain<in::rdtsc>, Feature::Tsc},
    {"0F 01 F9", "rdtscp", {}, plain<in::rdtscp>, Feature::Rdtscp},
    {"0F 33", "rdpmc", {}, plain<in::rdpmc>},
    {"F3 0F C7 /7 reg", "rdpid", {Op::Ry}, plain<in::rdpid>, Feature::Rdpid},
    {"0F C7 /6 reg", "rdrand", {Op::Ev}, plain<in::rdrand>, Feature::Rdrand},
    {"0F C7 /7 reg", "rdseed", {Op::Ev}, plain<in::rdseed>, Feature::Rdseed},

    // Waiting, caches.
    {"F4", "hlt", {}, ending<in::hlt>, Feature::Base, ending_supervisor},
    {"0F 01 C8", "monitor", {}, plain<in::monitor>, Feature::Monitor},
    {"0F 01 C9", "mwait", {}, ending<in::mwait>, Feature::Monitor, attr::ends_block},
    {"0F 08", "invd", {}, plain<in::invd>, Feature::Base, supervisor},
    {"0F 09", "wbinvd", {}, plain<in::wbinvd>, Feature::Base, supervisor},

    // Ports.
    {"E4", "in", {Op::Al, Op::Ib}, plain<in::in_byte_immediate>, Feature::Base, attr::alone},
    {"E5", "in", {Op::Av, Op::Ib}, plain<in::in_immediate>, Feature::Base, attr::alone},
    {"E6", "out", {Op::Ib, Op::Al}, plain<in::out_byte_immediate>, Feature::Base, attr::alone},
    {"E7", "out", {Op::Ib, Op::Av}, plain<in::out_immediate>, Feature::Base, attr::alone},
    {"EC", "in", {Op::Al, Op::Dx}, plain<in::in_byte_dx>, Feature::Base, attr::alone},
    {"ED", "in", {Op::Av, Op::Dx}, plain<in::in_dx>, Feature::Base, attr::alone},
    {"EE", "out", {Op::Dx, Op::Al}, plain<in::out_byte_dx>, Feature::Base, attr::alone},
    {"EF", "out", {Op::Dx, Op::Av}, plain<in::out_dx>, Feature::Base, attr::alone},
    {"6C", "insb", {}, plain<in::ins_byte>, Feature::Base, attr::alone | attr::byte_operands},
    {"6D", "ins", {}, plain<in::ins>, Feature::Base, attr::alone},
    {"6E", "outsb", {}, plain<in::outs_byte>, Feature::Base, attr::alone | attr::byte_operands},
    {"6F", "outs", {}, plain<in::outs>, Feature::Base, attr::alone},
};
// clang-format on

}  // namespace

std::span<const Row> system_rows() { return rows; }

}  // namespace bunshin
