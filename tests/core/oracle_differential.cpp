#include "tests/core/oracle_differential.h"

#include <algorithm>
#include <cstdlib>

#include "tests/core/oracle_memory.h"
#include "tests/core/oracle_rules.h"
#include "tests/core/oracle_segments.h"
#include "tests/core/oracle_vendors.h"

namespace bunshin::oracle {

namespace {

std::string host_vendor() { return __builtin_cpu_is("amd") ? "AuthenticAMD" : "GenuineIntel"; }

std::string number(u64 v) {
  char text[24];
  std::snprintf(text, sizeof text, "%llx", static_cast<unsigned long long>(v));
  return text;
}

constexpr const char* gpr_names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                     "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

std::string describe(const std::optional<Trap>& trap) {
  if (!trap) return "completes";
  return "traps: vector " + std::to_string(trap->vector) + " error " + number(trap->error_code) + " address " +
         number(trap->address);
}

std::string compare_traps(const Trap& host, const Trap& guest) {
  const bool page_fault = host.vector == 14;
  // Linux hides from users which kernel addresses are mapped: P is always set for those.
  const u64 code_mask = page_fault && host.address >= (u64{1} << 47) - page_size ? ~u64{1} : ~u64{0};
  if (host.vector == guest.vector && ((host.error_code ^ guest.error_code) & code_mask) == 0 &&
      (!page_fault || host.address == guest.address))
    return {};
  return "\n  host: " + describe(host) + ", model: " + describe(guest);
}

u64 shift_count(const Case& c) {
  for (const Op op : c.decoded.row->operands) {
    if (op == Op::One) return 1;
    if (op == Op::Ib || op == Op::Ibs) return c.decoded.record.imm;
  }
  return c.registers.gpr[RCX];
}

std::string compare_gprs(const Case& c, const Outcome& host, const Outcome& guest) {
  std::string text;
  // What 32-bit code leaves in the upper halves, 64-bit code must not ask (SDM vol. 1, 3.4.1.1).
  const bool wide =
      c.kind == CodeKind::Long && host.registers.selectors[static_cast<unsigned>(Seg::CS)] == code64_selector;
  const u64 mask = wide ? ~u64{0} : 0xffffffff;
  for (unsigned i = 0; i < (wide ? 16u : 8u); ++i) {
    const u64 undefined = c.decoded.record.reg == i * 8 ? undefined_destination_bits(c.decoded) : 0;
    if (((host.registers.gpr[i] ^ guest.registers.gpr[i]) & mask & ~undefined) == 0) continue;
    text += std::string("\n  ") + gpr_names[i] + " was " + number(c.registers.gpr[i]) + ", host " +
            number(host.registers.gpr[i]) + ", model " + number(guest.registers.gpr[i]);
  }
  return text;
}

std::string compare_fx(const Case& c, const Outcome& host_outcome, const Outcome& guest_outcome) {
  const FxImage& before = c.registers.fx;
  const FxImage& host = host_outcome.registers.fx;
  const FxImage& guest = guest_outcome.registers.fx;
  std::string text;
  const auto field = [&](const char* name, unsigned offset, unsigned size, u32 mask = ~u32{0}) {
    if (std::memcmp(host.bytes.data() + offset, guest.bytes.data() + offset, size) == 0) return;
    if (size <= 4 && ((host.get<u32>(offset) ^ guest.get<u32>(offset)) & mask & ((u64{1} << size * 8) - 1)) == 0)
      return;
    const auto show = [&](const FxImage& image) { return hex(std::span(image.bytes).subspan(offset, size)); };
    text += std::string("\n  ") + name + " was " + show(before) + ", host " + show(host) + ", model " + show(guest);
  };
  field("mxcsr", FxImage::mxcsr, 4, compared_mxcsr(c.decoded, host_outcome.trap));
  for (unsigned i = 0; i < 16; ++i) {
    field(("xmm" + std::to_string(i)).c_str(), FxImage::xmm0 + i * 16, 16);
    field(("upper half of ymm" + std::to_string(i)).c_str(), FxImage::upper0 + i * 16, 16);
  }
  if (!compares_x87(c.decoded, host_outcome.trap)) return text;
  field("fcw", FxImage::control, 2);
  field("fsw", FxImage::status, 2, compared_fsw(c.decoded, host.get<u16>(FxImage::status)));
  field("tags", FxImage::tags, 1);
  for (unsigned i = 0; i < 8; ++i) field(("st" + std::to_string(i)).c_str(), FxImage::st0 + i * 16, 10);
  return text;
}

/// A jump into nowhere has completed; the fault is the next instruction's.
void forgive_fetch(Outcome& host) {
  constexpr u64 fetch = 0x10;
  if (host.trap && host.trap->vector == 14 && (host.trap->error_code & fetch) != 0 && host.rip == host.trap->address) {
    host.trap.reset();
  }
}

}  // namespace

u64 from_environment(const char* name, u64 otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 0) : otherwise;
}

std::string code_kind_name(const ::testing::TestParamInfo<CodeKind>& info) {
  return info.param == CodeKind::Long            ? "Long"
         : info.param == CodeKind::Compatibility ? "Compatibility"
                                                 : "Compatibility16";
}

Differential::Differential()
    : guest_(GetParam(), host_vendor(), host_.has_local_segments()),
      abilities_{host_.has_segment_bases(), host_.has_local_segments(), host_.has_linux_gdt()},
      seed_(from_environment("BUNSHIN_ORACLE_SEED", 1)),
      generator_(table_, guest_.machine().profile, GetParam(), abilities_, seed_) {
  generator_.fill({HostProcessor::at(data_begin), data_end - data_begin});
  std::memcpy(guest_.at(data_begin), HostProcessor::at(data_begin), data_end - data_begin);
  std::memset(guest_.at(data_end), 0, read_only_end - data_end);
}

void Differential::SetUp() {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer's shadow memory makes the host complete accesses that the guest faults on";
#endif
  if (GetParam() == CodeKind::Compatibility16 && !host_.has_local_segments())
    GTEST_SKIP() << "this host runs no 16-bit code: its kernel has no modify_ldt";
  if (GetParam() != CodeKind::Long && !host_.runs_compatibility_code())
    GTEST_SKIP() << "this host runs no 32-bit code: its kernel has no 32-bit user code segment";
  const auto missing = [](bool there, const char* what) {
    if (!there) std::printf("not compared, the host lacks it: %s\n", what);
  };
  missing(host_.has_ymm(), "YMM registers");
  missing(abilities_.bases, "FS and GS bases (RDFSBASE)");
  missing(abilities_.local_segments, "an LDT (modify_ldt)");
  missing(abilities_.gdt, "Linux's GDT");
}

const char* Differential::only() const { return std::getenv("BUNSHIN_ORACLE_ROW"); }

void Differential::write_data(u64 address, std::span<const u8> bytes) {
  std::memcpy(HostProcessor::at(address), bytes.data(), bytes.size());
  std::memcpy(guest_.at(address), bytes.data(), bytes.size());
}

void Differential::write_code(u64 address, std::span<const u8> bytes) {
  std::memcpy(HostProcessor::at(address), bytes.data(), bytes.size());
  guest_.write_code(address, bytes);
}

void Differential::compare(const Case& c) {
  write_code(c.rip, c.bytes);
  const u64 end = c.rip + c.bytes.size();
  if (is_transfer(*c.decoded.row))
    write_code(end, HostProcessor::landing_pad(c.kind, end));
  else
    write_code(end, HostProcessor::quiet_pad(c.kind));
  Outcome host = host_.run(c.kind, c.registers, c.rip, end);
  Outcome guest = guest_.run(c.registers, c.rip);
  if (!host_.has_ymm()) {
    for (Outcome* o : {&host, &guest}) std::memset(o->registers.fx.bytes.data() + FxImage::upper0, 0, 256);
  }
  forgive_fetch(host);
  count(c, host);
  const std::string memory = synchronize_memory(c);
  if (!host.trap && !guest.trap && undefined_result(c.decoded, shift_count(c))) return;
  const std::string differences = describe_differences(c, host, guest) + memory;
  if (differences.empty()) return;
  if (const std::string_view reason = vendor_difference(c, host, guest); !reason.empty()) {
    ++explained_[reason];
    return;
  }
  const std::string row = std::string(c.decoded.row->mnemonic) + " (" + std::string(c.decoded.row->encoding) + ")";
  if (++failures_[row] <= 2) {
    ADD_FAILURE() << row << ": " << hex(c.bytes) << "at " << number(c.rip) << " with flags "
                  << number(c.registers.flags) << ", host " << describe(host.trap) << differences;
  }
}

void Differential::count(const Case& c, const Outcome& host) {
  Count& row = counts_[c.decoded.row];
  ++row.compared;
  ++compared_;
  if (host.trap) ++row.trapped, ++trapped_;
  if (!c.decoded.memory) return;
  ++memory_;
  const u64 address = operand_address(c);
  const bool near_end = page_size - address % page_size < std::max(c.decoded.operand_bytes, 2u);
  if (near_end) ++crossing_;
  const bool faults_behind = host.trap && host.trap->vector == 14 && host.trap->address > address &&
                             host.trap->address % page_size == 0 && host.trap->address - address < 64;
  if (faults_behind) ++second_page_;
}

void Differential::check_coverage(std::span<const Row* const> rows) {
  const auto number = [](u64 v) { return static_cast<unsigned long long>(v); };
  std::printf(
      "%llu cases of %zu rows compared, seed %llu: %llu traps; %llu memory operands, %llu across pages, "
      "%llu faults at the second page\n",
      number(compared_), rows.size(), number(seed_), number(trapped_), number(memory_), number(crossing_),
      number(second_page_));
  for (const auto& [reason, times] : explained_)
    std::printf("  %llu of them differ: %.*s\n", number(times), static_cast<int>(reason.size()), reason.data());
  for (const Row* row : rows) {
    const Count& n = counts_[row];
    const std::string name = std::string(row->mnemonic) + " (" + std::string(row->encoding) + ")";
    if (n.compared == 0)
      ADD_FAILURE() << name << " was never compared";
    else if (n.compared == n.trapped && !always_traps(*row))
      ADD_FAILURE() << name << " has always trapped";
  }
}

std::string Differential::describe_differences(const Case& c, const Outcome& host, const Outcome& guest) {
  std::string text;
  if (host.trap.has_value() != guest.trap.has_value()) {
    text += "\n  host: " + describe(host.trap) + ", model: " + describe(guest.trap);
  } else if (host.trap) {
    text += compare_traps(*host.trap, *guest.trap);
  }
  if (host.rip != guest.rip) text += "\n  rip host " + number(host.rip) + ", model " + number(guest.rip);
  text += compare_gprs(c, host, guest);
  u64 flags = rflags::status | rflags::DF | rflags::AC | rflags::ID | rflags::NT;
  if (!host.trap) flags &= ~undefined_flags(c.decoded, shift_count(c));
  flags &= ~undefined_flags_after_exception(c.decoded, host.registers.fx.get<u16>(FxImage::status));
  if (((host.registers.flags ^ guest.registers.flags) & flags) != 0) {
    text += "\n  flags were " + number(c.registers.flags) + ", host " + number(host.registers.flags & flags) +
            ", model " + number(guest.registers.flags & flags);
  }
  return text + compare_segments(c, host, guest) + compare_fx(c, host, guest);
}

std::string Differential::compare_segments(const Case& c, const Outcome& host, const Outcome& guest) const {
  constexpr const char* names[] = {"es", "cs", "ss", "ds", "fs", "gs"};
  std::string text;
  for (unsigned i = 0; i < 6; ++i) {
    const u16 h = host.registers.selectors[i], g = guest.registers.selectors[i];
    // An interrupt between the instruction and our look may have made one null selector of another (SDM vol. 2, IRET).
    const bool both_null = (h & ~3) == 0 && (g & ~3) == 0;
    if (h == g || both_null || (i >= static_cast<unsigned>(Seg::FS) && !abilities_.bases)) continue;
    text += std::string("\n  ") + names[i] + " was " + number(c.registers.selectors[i]) + ", host " + number(h) +
            ", model " + number(g);
  }
  // Loading a null selector clears the base on some processors, and on others not.
  const bool bases_told = c.kind == CodeKind::Long && abilities_.bases;
  const auto base = [&](const char* name, unsigned seg, u64 was, u64 h, u64 g) {
    const bool loaded = host.registers.selectors[seg] != c.registers.selectors[seg];
    if (h != g && bases_told && !loaded && !loads_segment(*c.decoded.row))
      text += std::string("\n  ") + name + " was " + number(was) + ", host " + number(h) + ", model " + number(g);
  };
  base("fs.base", 4, c.registers.fs_base, host.registers.fs_base, guest.registers.fs_base);
  base("gs.base", 5, c.registers.gs_base, host.registers.gs_base, guest.registers.gs_base);
  return text;
}

std::string Differential::synchronize_memory(const Case& c) {
  const u8* host = HostProcessor::at(data_begin);
  u8* guest = guest_.at(data_begin);
  constexpr u64 size = data_end - data_begin;
  if (std::memcmp(host, guest, size) == 0) return {};
  for (const Field& f : uncompared_fields(c)) {
    const u64 from = f.address - data_begin;
    for (u64 i = from; i < from + f.size; ++i) {
      if (i < size) guest[i] = host[i];
    }
  }
  if (std::memcmp(host, guest, size) == 0) return {};
  u64 first = 0;
  while (host[first] == guest[first]) ++first;
  const u64 shown = std::min<u64>(16, size - first);
  const std::string text = "\n  memory at " + number(data_begin + first) + ": host " + hex({host + first, shown}) +
                           ", model " + hex({guest + first, shown});
  std::memcpy(guest, host, size);
  return text;
}

}  // namespace bunshin::oracle
