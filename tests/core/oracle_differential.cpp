#include "tests/core/oracle_differential.h"

#include <algorithm>
#include <cstdlib>

#include "tests/core/oracle_rules.h"

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
  for (unsigned i = 0; i < 16; ++i) {
    if (host.registers.gpr[i] == guest.registers.gpr[i]) continue;
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
  for (unsigned i = 0; i < 16; ++i) field(("xmm" + std::to_string(i)).c_str(), FxImage::xmm0 + i * 16, 16);
  if (!compares_x87(c.decoded, host_outcome.trap)) return text;
  field("fcw", FxImage::control, 2);
  field("fsw", FxImage::status, 2, compared_fsw(c.decoded));
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

Differential::Differential()
    : guest_(host_vendor()), generator_(table_, guest_.machine().profile, from_environment("BUNSHIN_ORACLE_SEED", 1)) {
  generator_.fill({HostProcessor::at(data_begin), data_end - data_begin});
  std::memcpy(guest_.at(data_begin), HostProcessor::at(data_begin), data_end - data_begin);
  std::memset(guest_.at(data_end), 0, read_only_end - data_end);
}

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
  write_code(end, HostProcessor::landing_pad(end));
  Outcome host = host_.run(c.registers, c.rip);
  const Outcome guest = guest_.run(c.registers, c.rip);
  forgive_fetch(host);
  ++compared_;
  if (host.trap) ++trapped_;
  const std::string memory = synchronize_memory();
  if (vendors_differ(c.decoded, host, guest)) return;
  if (!host.trap && !guest.trap && undefined_result(c.decoded, shift_count(c))) return;
  const std::string differences = describe_differences(c, host, guest) + memory;
  if (differences.empty()) return;
  const std::string row = std::string(c.decoded.row->mnemonic) + " (" + std::string(c.decoded.row->encoding) + ")";
  if (++failures_[row] <= 2) {
    ADD_FAILURE() << row << ": " << hex(c.bytes) << "host " << describe(host.trap) << differences;
  }
}

void Differential::print_counts(std::size_t rows) const {
  std::printf("%llu cases of %zu rows compared, %llu of them traps\n", static_cast<unsigned long long>(compared_), rows,
              static_cast<unsigned long long>(trapped_));
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
  u64 flags = rflags::status | rflags::DF;
  if (!host.trap) flags &= ~undefined_flags(c.decoded, shift_count(c));
  if (((host.registers.flags ^ guest.registers.flags) & flags) != 0) {
    text += "\n  flags were " + number(c.registers.flags) + ", host " + number(host.registers.flags & flags) +
            ", model " + number(guest.registers.flags & flags);
  }
  return text + compare_fx(c, host, guest);
}

std::string Differential::synchronize_memory() {
  const u8* host = HostProcessor::at(data_begin);
  u8* guest = guest_.at(data_begin);
  constexpr u64 size = data_end - data_begin;
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
