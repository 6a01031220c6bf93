// Instructions on single flags: CLC, STC, CMC, CLD, STD, LAHF, SAHF, SALC (SDM vol. 2). CLI, STI, PUSHF and POPF, which
// privilege guards, are in core/events.

#include "core/execute/operands.h"

namespace bunshin {

namespace {

constexpr u64 lahf_flags = rflags::SF | rflags::ZF | rflags::AF | rflags::PF | rflags::CF;

bool clc(Cpu& cpu, const Record&) {
  cpu.state.flags.change_status(rflags::CF, 0);
  return true;
}
bool stc(Cpu& cpu, const Record&) {
  cpu.state.flags.change_status(rflags::CF, rflags::CF);
  return true;
}
bool cmc(Cpu& cpu, const Record&) {
  cpu.state.flags.change_status(rflags::CF, cpu.state.flags.cf() ? 0 : rflags::CF);
  return true;
}
bool cld(Cpu& cpu, const Record&) {
  cpu.state.flags.system &= ~rflags::DF;
  return true;
}
bool set_direction(Cpu& cpu, const Record&) {
  cpu.state.flags.system |= rflags::DF;
  return true;
}
bool lahf(Cpu& cpu, const Record&) {
  cpu.set_reg<u8>(RAX + 1, static_cast<u8>((cpu.state.flags.status() & lahf_flags) | rflags::fixed));
  return true;
}
bool sahf(Cpu& cpu, const Record&) {
  cpu.state.flags.change_status(lahf_flags, cpu.reg<u8>(RAX + 1));
  return true;
}
bool salc(Cpu& cpu, const Record&) {
  cpu.set_reg<u8>(RAX, cpu.state.flags.cf() ? 0xff : 0);
  return true;
}

// clang-format off
const Row rows[] = {
    {"F8", "clc", {}, plain<clc>},           {"F9", "stc", {}, plain<stc>},
    {"F5", "cmc", {}, plain<cmc>},           {"FC", "cld", {}, plain<cld>},
    {"FD", "std", {}, plain<set_direction>}, {"9F", "lahf", {}, plain<lahf>},
    {"9E", "sahf", {}, plain<sahf>},         {"D6", "salc", {}, plain<salc>, Feature::Base, attr::invalid64},
};
// clang-format on

}  // namespace

std::span<const Row> flag_rows() { return rows; }

}  // namespace bunshin
