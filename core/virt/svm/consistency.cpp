#include "core/virt/svm/consistency.h"

#include "core/state.h"
#include "core/virt/svm/event_field.h"
#include "core/virt/svm/exit_code.h"
#include "core/virt/svm/permission_map.h"

namespace bunshin::svm {

namespace {

using Context = ConsistencyContext;

template <class Subject>
struct Rule {
  std::string_view broken;
  bool (*is_broken)(const Subject&, const Context&);
};

template <class Subject, std::size_t count>
std::string_view first_broken(const Rule<Subject> (&rules)[count], const Subject& subject, const Context& context) {
  for (const Rule<Subject>& rule : rules) {
    if (rule.is_broken(subject, context)) return rule.broken;
  }
  return {};
}

constexpr bool any(u64 value, u64 bits) { return (value & bits) != 0; }
constexpr bool high_half(u64 value) { return value >> 32 != 0; }

bool pages_in_long_mode(const VmcbSave& s) { return any(s.efer, efer::LME) && any(s.cr0, cr0::PG); }

/// Only long mode's tables give CR3 bits that must be zero: those beyond the physical address.
bool cr3_reserved(const VmcbSave& s, const Context& c) {
  return pages_in_long_mode(s) && s.cr3 >> c.profile.physical_bits != 0;
}

bool code_is_64_and_32_bits(const VmcbSave& s, const Context&) {
  constexpr u16 L = 1 << 9, D = 1 << 10;
  return pages_in_long_mode(s) && any(s.cr4, cr4::PAE) && any(s.cs.attributes, L) && any(s.cs.attributes, D);
}

// clang-format off
constexpr Rule<VmcbSave> state_rules[] = {
    {"EFER.SVME is zero", [](const VmcbSave& s, const Context&) { return !any(s.efer, efer::SVME); }},
    {"CR0.CD is zero and CR0.NW is set",
     [](const VmcbSave& s, const Context&) { return !any(s.cr0, cr0::CD) && any(s.cr0, cr0::NW); }},
    {"CR0[63:32] are not zero", [](const VmcbSave& s, const Context&) { return high_half(s.cr0); }},
    {"a reserved bit of CR3 is set", cr3_reserved},
    {"a reserved bit of CR4 is set", [](const VmcbSave& s, const Context& c) { return any(s.cr4, ~c.cr4_writable); }},
    {"DR6[63:32] are not zero", [](const VmcbSave& s, const Context&) { return high_half(s.dr6); }},
    {"DR7[63:32] are not zero", [](const VmcbSave& s, const Context&) { return high_half(s.dr7); }},
    {"long mode is asked for and not there",
     [](const VmcbSave& s, const Context& c) {
       return !c.profile.has(Feature::Lm) && any(s.efer, efer::LME | efer::LMA);
     }},
    {"a reserved bit of EFER is set",
     [](const VmcbSave& s, const Context& c) { return any(s.efer, ~(c.efer_writable | efer::LMA)); }},
    {"EFER.LME and CR0.PG are set and CR4.PAE is zero",
     [](const VmcbSave& s, const Context&) { return pages_in_long_mode(s) && !any(s.cr4, cr4::PAE); }},
    {"EFER.LME and CR0.PG are set and CR0.PE is zero",
     [](const VmcbSave& s, const Context&) { return pages_in_long_mode(s) && !any(s.cr0, cr0::PE); }},
    {"EFER.LME, CR0.PG, CR4.PAE, CS.L and CS.D are all set", code_is_64_and_32_bits},
};

bool requests(const Vmcb& v, ExitCode code) {
  const u64 bit = static_cast<u64>(code);
  return (v.control.intercepts[bit / 32] >> (bit % 32) & 1) != 0;
}

bool beyond_memory(u64 base, u64 bytes, const Context& c) {
  const u64 first = base & ~u64{0xfff};  // the low bits are ignored (15.10.1)
  const u64 last = first + bytes - 1;
  return last < first || last >> c.profile.physical_bits != 0;
}

bool nested(const Vmcb& v, const Context& c) {
  return c.profile.has(Feature::Npt) && any(v.control.nested_control, nested_paging);
}

/// Memory types 2, 3 and from 8 on are none (7.8.1).
bool pat_is_illegal(u64 pat) {
  for (unsigned i = 0; i < 8; ++i, pat >>= 8) {
    const u64 type = pat & 0xff;
    if (type > 7 || type == 2 || type == 3) return true;
  }
  return false;
}

constexpr Rule<Vmcb> control_rules[] = {
    {"the VMRUN intercept bit is clear", [](const Vmcb& v, const Context&) { return !requests(v, ExitCode::Vmrun); }},
    {"the I/O permission map extends beyond physical memory",
     [](const Vmcb& v, const Context& c) { return beyond_memory(v.control.io_map, io_map_bytes, c); }},
    {"the MSR permission map extends beyond physical memory",
     [](const Vmcb& v, const Context& c) { return beyond_memory(v.control.msr_map, msr_map_bytes, c); }},
    {"illegal event injection", [](const Vmcb& v, const Context&) { return is_illegal_injection(v.control.event_injection); }},
    {"ASID is zero", [](const Vmcb& v, const Context&) { return v.control.asid == 0; }},
    {"nested paging under a host that does not page",
     [](const Vmcb& v, const Context& c) { return nested(v, c) && !c.host_paging; }},
    {"a reserved bit of N_CR3 is set",
     [](const Vmcb& v, const Context& c) { return nested(v, c) && v.control.nested_cr3 >> c.profile.physical_bits != 0; }},
    {"G_PAT holds an unsupported type", [](const Vmcb& v, const Context& c) { return nested(v, c) && pat_is_illegal(v.save.pat); }},
};
// clang-format on

}  // namespace

std::string_view inconsistency(const Vmcb& vmcb, const ConsistencyContext& context) {
  const std::string_view broken = first_broken(control_rules, vmcb, context);
  return broken.empty() ? state_inconsistency(vmcb.save, context) : broken;
}

std::string_view state_inconsistency(const VmcbSave& save, const ConsistencyContext& context) {
  return first_broken(state_rules, save, context);
}

}  // namespace bunshin::svm
