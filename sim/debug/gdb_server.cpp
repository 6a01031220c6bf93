#include "sim/debug/gdb_server.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "sim/debug/gdb_registers.h"
#include "sim/debug/guest_memory.h"

namespace bunshin {

namespace {

constexpr unsigned signal_interrupt = 2, signal_trap = 5;
constexpr std::string_view error_reply = "E01";

/// A hexadecimal number at the front of `text`, which then begins behind it.
std::optional<u64> take_hex(std::string_view& text) {
  u64 value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

bool take(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

GdbServer::GdbServer(unsigned port, std::vector<Processor*> processors)
    : connection_(port), processors_(std::move(processors)), resume_at_(processors_.size()) {}

GdbServer::Resume GdbServer::start() {
  connection_.accept();
  return serve();
}

GdbServer::Resume GdbServer::stopped(unsigned core, bool interrupted) {
  if (!connection_.connected()) return Resume::Detach;
  stopped_core_ = selected_ = core;
  signal_ = interrupted ? signal_interrupt : signal_trap;
  stepping_core_ = -1;
  connection_.send(stop_reply());
  return serve();
}

void GdbServer::exited(int status) {
  if (connection_.connected()) connection_.send(fmt::format("W{:02x}", status));
}

bool GdbServer::before_instruction(const Cpu& cpu) {
  const u64 rip = linear_rip(cpu);
  std::optional<u64>& resumed = resume_at_[cpu.number];
  const bool at_resume_point = resumed && *resumed == rip;
  resumed.reset();
  if (static_cast<int>(cpu.number) == stepping_core_) {
    if (!step_pending_) return false;
    step_pending_ = false;
    return true;
  }
  return at_resume_point || !breakpoints_.contains(rip);
}

GdbServer::Resume GdbServer::serve() {
  while (const std::optional<std::string> packet = connection_.receive()) {
    if (*packet == "\x03") continue;
    const std::optional<std::string> reply = execute(*packet);
    if (reply) {
      connection_.send(*reply);
      if (*packet == "QStartNoAckMode") connection_.stop_acknowledging();
      continue;
    }
    for (unsigned i = 0; i < processors_.size(); ++i) resume_at_[i] = linear_rip(processors_[i]->cpu());
    if (resume_ != Resume::Run) connection_.close();
    return resume_;
  }
  return Resume::Detach;
}

std::optional<std::string> GdbServer::execute(const std::string& packet) {
  if (packet.empty()) return "";
  const std::string rest = packet.substr(1);
  switch (packet.front()) {
    case '?': return stop_reply();
    case 'g': return read_registers();
    case 'G': return write_registers(rest);
    case 'p': return read_register(rest);
    case 'P': return write_register(rest);
    case 'm': return read_memory(rest);
    case 'M': return write_memory(rest);
    case 'H': return select_thread(rest);
    case 'T': {
      unsigned core = 0;
      return parse_thread(rest, core) ? "OK" : std::string(error_reply);
    }
    case 'Z':
    case 'z': return change_breakpoint(packet);
    case 'q':
    case 'Q': return query(packet);
    case 'c':
    case 'C':
    case 's':
    case 'S':
    case 'D':
    case 'k':
    case 'v': return execute_resume(packet);
    default: return "";
  }
}

std::optional<std::string> GdbServer::execute_resume(const std::string& packet) {
  resume_ = Resume::Run;
  stepping_core_ = -1;
  if (packet == "vCont?") return "vCont;c;C;s;S";
  if (packet.starts_with("vKill")) {
    connection_.send("OK");
    resume_ = Resume::Kill;
    return std::nullopt;
  }
  if (packet.starts_with("vCont;")) {
    // The first action that steps a thread decides; all others continue.
    for (std::size_t at = packet.find(';'); at != std::string::npos; at = packet.find(';', at + 1)) {
      const std::string action = packet.substr(at + 1, packet.find(';', at + 1) - at - 1);
      if (action.empty() || (action[0] != 's' && action[0] != 'S')) continue;
      const std::size_t colon = action.find(':');
      unsigned core = selected_;
      if (colon != std::string::npos && !parse_thread(std::string_view(action).substr(colon + 1), core)) {
        return std::string(error_reply);
      }
      step(core);
      break;
    }
    return std::nullopt;
  }
  switch (packet.front()) {
    case 'c':
    case 'C': return std::nullopt;
    case 's':
    case 'S': step(selected_); return std::nullopt;
    case 'D':
      connection_.send("OK");
      breakpoints_.clear();
      resume_ = Resume::Detach;
      return std::nullopt;
    case 'k': resume_ = Resume::Kill; return std::nullopt;
    default: return "";
  }
}

void GdbServer::step(unsigned core) {
  stepping_core_ = static_cast<int>(core);
  step_pending_ = true;
}

std::string GdbServer::stop_reply() const { return fmt::format("T{:02x}thread:{:x};", signal_, stopped_core_ + 1); }

bool GdbServer::parse_thread(std::string_view text, unsigned& core) const {
  if (text == "-1" || text == "0") return true;
  const std::optional<u64> id = take_hex(text);
  if (!id || *id == 0 || *id > processors_.size()) return false;
  core = static_cast<unsigned>(*id - 1);
  return true;
}

std::string GdbServer::select_thread(const std::string& packet) {
  return !packet.empty() && parse_thread(std::string_view(packet).substr(1), selected_) ? "OK"
                                                                                        : std::string(error_reply);
}

std::string GdbServer::query(const std::string& packet) {
  if (packet.starts_with("qSupported")) return "PacketSize=4000;qXfer:features:read+;vContSupported+;QStartNoAckMode+";
  if (packet == "QStartNoAckMode") return "OK";
  if (packet.starts_with("qXfer:features:read:target.xml:")) return features(packet);
  if (packet == "qC") return fmt::format("QC{:x}", selected_ + 1);
  if (packet == "qAttached") return "1";
  if (packet == "qsThreadInfo") return "l";
  if (packet.starts_with("qSymbol")) return "OK";
  if (packet == "qfThreadInfo") {
    std::string list = "m";
    for (std::size_t i = 1; i <= processors_.size(); ++i) list += fmt::format("{}{:x}", i == 1 ? "" : ",", i);
    return list;
  }
  if (packet.starts_with("qThreadExtraInfo,")) {
    unsigned core = 0;
    if (!parse_thread(std::string_view(packet).substr(17), core)) return std::string(error_reply);
    const std::string text = fmt::format("core {} ({})", core, processors_[core]->idle() ? "waiting" : "running");
    return to_hex({reinterpret_cast<const u8*>(text.data()), text.size()});
  }
  return "";
}

std::string GdbServer::features(const std::string& packet) const {
  const std::string xml = gdb_registers::target_description();
  std::string_view range = std::string_view(packet).substr(packet.rfind(':') + 1);
  const std::optional<u64> offset = take_hex(range);
  const bool comma = take(range, ',');
  const std::optional<u64> length = take_hex(range);
  if (!offset || !comma || !length) return std::string(error_reply);
  if (*offset >= xml.size()) return "l";
  const std::string part = xml.substr(*offset, *length);
  return (*offset + part.size() < xml.size() ? "m" : "l") + part;
}

std::string GdbServer::read_registers() const {
  std::string hex;
  for (unsigned i = 0; i < gdb_registers::count(); ++i) hex += to_hex(gdb_registers::get(selected(), i));
  return hex;
}

std::string GdbServer::write_registers(const std::string& hex) {
  const auto bytes = from_hex(hex);
  if (!bytes) return std::string(error_reply);
  std::span<const u8> left(*bytes);
  for (unsigned i = 0; i < gdb_registers::count() && left.size() >= gdb_registers::size(i); ++i) {
    gdb_registers::set(selected(), i, left.first(gdb_registers::size(i)));
    left = left.subspan(gdb_registers::size(i));
  }
  selected().open_link = nullptr;
  selected().update_mode();
  return "OK";
}

std::string GdbServer::read_register(const std::string& number) const {
  std::string_view text = number;
  const std::optional<u64> index = take_hex(text);
  if (!index || *index >= gdb_registers::count()) return std::string(error_reply);
  return to_hex(gdb_registers::get(selected(), static_cast<unsigned>(*index)));
}

std::string GdbServer::write_register(const std::string& assignment) {
  std::string_view text = assignment;
  const std::optional<u64> index = take_hex(text);
  if (!index || *index >= gdb_registers::count() || !take(text, '=')) return std::string(error_reply);
  const auto bytes = from_hex(text);
  if (!bytes || !gdb_registers::set(selected(), static_cast<unsigned>(*index), *bytes)) return std::string(error_reply);
  selected().open_link = nullptr;
  selected().update_mode();
  return "OK";
}

std::string GdbServer::read_memory(const std::string& range) const {
  constexpr u64 largest = 0x2000;
  std::string_view text = range;
  const std::optional<u64> address = take_hex(text);
  const bool comma = take(text, ',');
  const std::optional<u64> length = take_hex(text);
  if (!address || !comma || !length) return std::string(error_reply);
  std::vector<u8> bytes(std::min(*length, largest));
  bytes.resize(read_linear(selected(), *address, bytes));
  return bytes.empty() && *length != 0 ? std::string(error_reply) : to_hex(bytes);
}

std::string GdbServer::write_memory(const std::string& command) {
  std::string_view text = command;
  const std::optional<u64> address = take_hex(text);
  const bool comma = take(text, ',');
  const std::optional<u64> length = take_hex(text);
  if (!address || !comma || !length || !take(text, ':')) return std::string(error_reply);
  const auto bytes = from_hex(text);
  if (!bytes || bytes->size() != *length) return std::string(error_reply);
  return write_linear(selected(), *address, *bytes) == bytes->size() ? "OK" : std::string(error_reply);
}

std::string GdbServer::change_breakpoint(const std::string& packet) {
  // Software and hardware breakpoints are one thing here; watchpoints are not supported.
  if (packet.size() < 3 || (packet[1] != '0' && packet[1] != '1')) return "";
  std::string_view text = std::string_view(packet).substr(3);
  const std::optional<u64> address = take_hex(text);
  if (!address) return std::string(error_reply);
  if (packet[0] == 'Z')
    breakpoints_.insert(*address);
  else
    breakpoints_.erase(*address);
  return "OK";
}

}  // namespace bunshin
