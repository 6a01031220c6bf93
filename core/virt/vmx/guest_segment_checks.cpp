// Checks on guest segment registers (SDM vol. 3, 26.3.1.2).

#include "core/virt/vmx/entry_checks.h"

namespace bunshin::vmx {
namespace {

using C = EntryContext;

constexpr u32 reserved_rights = 0xf00 | 0xfffe'0000;
constexpr u16 table_indicator = 4;
/// DS, ES, FS, GS.
constexpr Seg data_segments[] = {Seg::DS, Seg::ES, Seg::FS, Seg::GS};

bool unrestricted(const C& x) { return x.c.also(secondary::unrestricted_guest); }
bool ia32e(const C& x) { return x.c.on_entry(entry_control::ia32e_guest); }
const Segment& cs(const C& x) { return x.g.segment(Seg::CS); }
const Segment& ss(const C& x) { return x.g.segment(Seg::SS); }

/// The limit is one that the granularity can express.
bool limit_fits(const Segment& s) {
  const bool granular = (s.attributes & Segment::granularity) != 0;
  if ((s.limit & 0xfff) != 0xfff && granular) return false;
  return (s.limit & 0xfff0'0000) == 0 || granular;
}

template <class Holds>
bool all_segments(const C& x, Holds holds) {
  for (const Segment& s : x.g.seg) {
    if (!holds(s)) return false;
  }
  return true;
}

/// For those of DS, ES, FS and GS that are usable.
template <class Holds>
bool usable_data(const C& x, Holds holds) {
  for (const Seg seg : data_segments) {
    const Segment& s = x.g.segment(seg);
    if (!s.is_null() && !holds(s)) return false;
  }
  return true;
}

/// For CS and every usable other one.
template <class Holds>
bool usable(const C& x, Holds holds) {
  return holds(cs(x)) && (ss(x).is_null() || holds(ss(x))) && usable_data(x, holds);
}

bool bases_fit_virtual_8086(const C& x) {
  return all_segments(x, [](const Segment& s) { return s.base == u64{s.selector} << 4; });
}

bool low_bases(const C& x) {
  for (const Seg seg : {Seg::SS, Seg::DS, Seg::ES}) {
    const Segment& s = x.g.segment(seg);
    if (!s.is_null() && s.base >> 32 != 0) return false;
  }
  return cs(x).base >> 32 == 0;
}

bool code_type(const C& x) {
  const unsigned type = cs(x).type();
  return (type & 9) == 9 || (unrestricted(x) && type == 3);
}

bool data_types(const C& x) {
  return usable_data(x, [](const Segment& s) { return (s.type() & 1) != 0 && (!s.is_code() || (s.type() & 2) != 0); });
}

bool code_privilege(const C& x) {
  switch (cs(x).type()) {
    case 3: return cs(x).dpl() == 0;
    case 9:
    case 11: return cs(x).dpl() == ss(x).dpl();
    default: return cs(x).dpl() <= ss(x).dpl();
  }
}

bool stack_privilege(const C& x) {
  if (!unrestricted(x) && ss(x).dpl() != ss(x).rpl()) return false;
  const bool must_be_0 = cs(x).type() == 3 || (x.g.cr0 & cr0::PE) == 0;
  return !must_be_0 || ss(x).dpl() == 0;
}

bool data_privilege(const C& x) {
  if (unrestricted(x)) return true;
  return usable_data(x, [](const Segment& s) { return s.type() > 11 || s.dpl() >= s.rpl(); });
}

bool task_register(const C& x) {
  const Segment& tr = x.g.tr;
  const bool type = tr.type() == 11 || (tr.type() == 3 && !ia32e(x));
  return type && !tr.is_code_or_data() && tr.is_present() && (tr.attributes & reserved_rights) == 0 && limit_fits(tr) &&
         !tr.is_null();
}

bool local_table(const C& x) {
  const Segment& ldtr = x.g.ldtr;
  return ldtr.is_null() || (ldtr.type() == 2 && !ldtr.is_code_or_data() && ldtr.is_present() &&
                            (ldtr.attributes & reserved_rights) == 0 && limit_fits(ldtr));
}

// clang-format off
constexpr EntryRule rules[] = {
    {"TR: TI must be 0", [](const C& x) { return (x.g.tr.selector & table_indicator) == 0; }},
    {"LDTR, if usable: TI must be 0",
     [](const C& x) { return x.g.ldtr.is_null() || (x.g.ldtr.selector & table_indicator) == 0; }},
    {"SS: RPL must be that of CS",
     [](const C& x) { return x.g.v86() || unrestricted(x) || ss(x).rpl() == cs(x).rpl(); }},
    {"Virtual-8086: bases must be the selectors shifted left by 4",
     [](const C& x) { return !x.g.v86() || bases_fit_virtual_8086(x); }},
    {"TR, FS and GS, and LDTR if usable: bases must be canonical",
     [](const C& x) {
       return x.canonical(x.g.tr.base) && x.canonical(x.g.segment(Seg::FS).base) &&
              x.canonical(x.g.segment(Seg::GS).base) && (x.g.ldtr.is_null() || x.canonical(x.g.ldtr.base));
     }},
    {"CS, and SS, DS and ES if usable: bits 63:32 of the base must be 0", low_bases},
    {"Virtual-8086: limits must be FFFFH",
     [](const C& x) { return !x.g.v86() || all_segments(x, [](const Segment& s) { return s.limit == 0xffff; }); }},
    {"Virtual-8086: access rights must be F3H",
     [](const C& x) { return !x.g.v86() || all_segments(x, [](const Segment& s) { return s.attributes == 0xf3; }); }},
    {"CS: type must be that of accessed code, or 3 for an unrestricted guest",
     [](const C& x) { return x.g.v86() || code_type(x); }},
    {"SS, if usable: type must be 3 or 7",
     [](const C& x) { return x.g.v86() || ss(x).is_null() || ss(x).type() == 3 || ss(x).type() == 7; }},
    {"DS, ES, FS and GS, if usable: accessed, and readable if code", [](const C& x) { return x.g.v86() || data_types(x); }},
    {"CS, and the others if usable: S must be 1",
     [](const C& x) { return x.g.v86() || usable(x, [](const Segment& s) { return s.is_code_or_data(); }); }},
    {"CS: DPL must fit the type and SS", [](const C& x) { return x.g.v86() || code_privilege(x); }},
    {"SS: DPL must be the RPL, and 0 in real mode", [](const C& x) { return x.g.v86() || stack_privilege(x); }},
    {"DS, ES, FS and GS, if usable: DPL must not be less than RPL", [](const C& x) { return x.g.v86() || data_privilege(x); }},
    {"CS, and the others if usable: P must be 1",
     [](const C& x) { return x.g.v86() || usable(x, [](const Segment& s) { return s.is_present(); }); }},
    {"CS, and the others if usable: reserved bits of the access rights must be 0",
     [](const C& x) {
       return x.g.v86() || usable(x, [](const Segment& s) { return (s.attributes & reserved_rights) == 0; });
     }},
    {"CS: D must be 0 in 64-bit code", [](const C& x) { return !ia32e(x) || !cs(x).is_long() || !cs(x).is_big(); }},
    {"CS, and the others if usable: G must fit the limit",
     [](const C& x) { return x.g.v86() || usable(x, limit_fits); }},
    {"TR: type, S, P, reserved bits, G, usable", task_register},
    {"LDTR, if usable: type, S, P, reserved bits, G", local_table},
};
// clang-format on

}  // namespace

std::span<const EntryRule> guest_segment_rules() { return rules; }

}  // namespace bunshin::vmx
