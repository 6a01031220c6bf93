#include "sim/debug/trace.h"

#include <array>
#include <charconv>
#include <stdexcept>

#include <fmt/format.h>

#include "sim/debug/guest_memory.h"

namespace bunshin {

TracePoint parse_trace_point(const std::string& text, const Symbols& symbols) {
  if (text.empty()) return {};
  const bool hexadecimal = text.starts_with("0x");
  u64 cycle = 0;
  const char* first = text.data() + (hexadecimal ? 2 : 0);
  const auto [end, error] = std::from_chars(first, text.data() + text.size(), cycle, hexadecimal ? 16 : 10);
  if (error == std::errc() && end == text.data() + text.size()) return {cycle, std::nullopt};
  if (const std::optional<u64> address = symbols.address(text)) return {std::nullopt, address};
  throw std::runtime_error(fmt::format("'{}' is neither a cycle nor a known symbol{}", text,
                                       symbols.empty()
                                           ? " (the kernel has no symbols: name an ELF file or System.map with "
                                             "--symbols)"
                                           : ""));
}

TraceWriter::TraceWriter(const std::string& path, TracePoint from, TracePoint to, const Symbols& symbols)
    : file_(path == "-" ? stdout : std::fopen(path.c_str(), "w")), from_(from), to_(to), symbols_(symbols) {
  if (file_ == nullptr) throw std::runtime_error(path + ": the trace cannot be created");
}

TraceWriter::~TraceWriter() {
  if (file_ != stdout) std::fclose(file_);
}

u64 TraceWriter::wanted_from() const {
  if (ended_) return ~u64{0};
  return started_ || from_.address ? 0 : from_.cycle.value_or(0);
}

bool TraceWriter::before_instruction(const Cpu& cpu) {
  if (ended_) return true;
  const u64 linear = linear_rip(cpu);
  if (!started_) started_ = from_.address ? linear == *from_.address : cpu.cycles() >= from_.cycle.value_or(0);
  if (!started_) return true;
  ended_ = to_.address ? linear == *to_.address : to_.cycle && cpu.cycles() > *to_.cycle;
  if (!ended_) write_line(cpu, linear);
  return true;
}

void TraceWriter::write_line(const Cpu& cpu, u64 linear) {
  std::array<u8, 15> bytes{};
  const std::size_t count = read_linear(cpu, linear, bytes);
  const Disassembler& disassembler = cpu.mode.bits == 64   ? disassembler64_
                                     : cpu.mode.bits == 32 ? disassembler32_
                                                           : disassembler16_;
  const Disassembled instruction = disassembler.at({bytes.data(), count}, cpu.state.rip);
  const std::string where = symbols_.describe(linear);
  const std::string line =
      fmt::format("{} {} {:016x} {:<30} {}{}\n", cpu.cycles(), cpu.number, cpu.state.rip,
                  hex_bytes({bytes.data(), instruction.length}), instruction.text, where.empty() ? "" : "  ; " + where);
  std::fputs(line.c_str(), file_);
}

}  // namespace bunshin
