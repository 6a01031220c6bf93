#include "sim/compare/mode_result.h"

#include <algorithm>
#include <array>
#include <numeric>

#include <fmt/format.h>

#include "core/timing/statistics.h"
#include "sim/run_end.h"

namespace bunshin {

namespace {

constexpr std::string_view handler_prefix = "handler.";
const std::string guest_prefix = "vmm.guest.guest.";

struct Title {
  std::string_view name, title;
};
/// Before the handlers, and after them.
constexpr std::array<Title, 8> first_causes{{{"guest_user", "guest, user"},
                                             {"guest_kernel", "guest, kernel"},
                                             {"guest", "guest"},
                                             {"guest_devices", "guest, devices and PAUSE"},
                                             {"walk_dim1", "page walks, dimension 1"},
                                             {"walk_dim2", "page walks, dimension 2"},
                                             {"walk_fetch", "translation of fetches"},
                                             {"world_switch", "world switches"}}};
constexpr std::array<Title, 3> last_causes{
    {{"hypervisor", "hypervisor, around handlers"}, {"halted", "halted"}, {"other", "other"}}};

/// What the guest's world cost at one privilege level, walks apart.
struct Part {
  u64 run = 0, devices = 0, walks = 0, fetches = 0;

  u64 total() const { return run + devices + walks + fetches; }
};

Part part_of(const CycleAccount& account) {
  Part part;
  part.walks = account[CycleCause::Walk1] + account[CycleCause::Walk2];
  part.fetches = account[CycleCause::FetchWalk];
  part.devices = account[CycleCause::Device];
  part.run = account.total() - part.total() - account[CycleCause::Halted] - account[CycleCause::VmEntry] -
             account[CycleCause::VmExit] - account[CycleCause::VmControl] - account[CycleCause::Hosted];
  return part;
}

class Causes {
 public:
  Causes(const ReportData& data, ModeResult& result) : data_(data), result_(result) {}

  void add(const std::string& name, u64 cycles) {
    if (cycles != 0) result_.causes.emplace_back(name, cycles);
  }
  void add_walks(u64 cycles, const std::vector<std::string>& privileges) {
    const u64 first = walked(privileges, 1), second = walked(privileges, 2);
    const u64 part = first + second == 0 ? 0 : static_cast<u64>(u128{cycles} * second / (first + second));
    add("walk_dim1", cycles - part);
    add("walk_dim2", part);
  }
  u64 sum() const {
    return std::accumulate(result_.causes.begin(), result_.causes.end(), u64{0},
                           [](u64 s, const auto& cause) { return s + cause.second; });
  }
  /// Cycles of the whole guest's world, halted time not among them.
  u64 add_guest(const std::string& user, const std::string& kernel) {
    const Part u = part_of(data_.account("", 0, user)), k = part_of(data_.account("", 0, kernel));
    add("guest_user", u.run);
    add("guest_kernel", k.run);
    add("guest_devices", u.devices + k.devices);
    add_walks(u.walks + k.walks, {user, kernel});
    add("walk_fetch", u.fetches + k.fetches);
    return u.total() + k.total();
  }

 private:
  u64 walked(const std::vector<std::string>& privileges, unsigned dimension) const {
    u64 cycles = 0;
    for (const std::string& privilege : privileges) {
      for (unsigned level = 1; level < WalkCounters::table_levels; ++level) {
        cycles += data_.count(fmt::format("core0.timing.{}walk.dim{}.level{}.cycles", privilege, dimension, level));
      }
    }
    return cycles;
  }

  const ReportData& data_;
  ModeResult& result_;
};

std::optional<double> references_per_walk(const ReportData& d, const std::vector<std::string>& privileges) {
  u64 walks = 0;
  u64 references = 0;
  if (d.timed()) {
    for (const std::string& privilege : privileges) {
      walks += d.count("core0.timing." + privilege + "walks");
      references += d.count("core0.timing." + privilege + "walk_references");
    }
  } else {
    walks = d.count("core0.walker.walks");
    references = d.count("core0.walker.references") + d.count("core0.second_stage.references");
  }
  if (walks == 0) return std::nullopt;
  return static_cast<double>(references) / static_cast<double>(walks);
}

void add_native(const ReportData& d, ModeResult& result) {
  result.cycles = d.count("sim.cycles");
  Causes causes(d, result);
  result.references_per_walk = references_per_walk(d, {"user.", "supervisor."});
  if (!d.timed()) return causes.add("guest", result.cycles);
  causes.add_guest("user.", "supervisor.");
  causes.add("halted", d.account("", 0)[CycleCause::Halted]);
}

/// Kernel and programs of a guest in user state are user code alike. The hypervisor has timed them apart, the ways there and
/// back included: each entry's share of what that is more than the code itself took is taken off.
u64 kernel_part(const ReportData& d, const Part& code) {
  const auto reported = [&d](const char* name) { return d.number(guest_prefix + name); };
  const double entries = reported("kernel_entries") + reported("user_entries");
  const double both = reported("kernel_tsc") + reported("user_tsc"), inside = static_cast<double>(code.total());
  if (entries == 0 || inside == 0) return 0;
  const double way = std::max(0.0, both - inside) / entries;
  const double kernel = std::clamp(reported("kernel_tsc") - way * reported("kernel_entries"), 0.0, inside);
  return static_cast<u64>(static_cast<double>(code.run) * kernel / inside);
}

/// In the guest's world, without the way there and back.
u64 add_guest_world(const ReportData& d, Causes& causes, u64 guest_tsc) {
  const bool extension = d.has("core0.vm.guest_cycles") && d.count("core0.vm.entries") != 0;
  if (d.timed() && extension) return causes.add_guest("guest_user.", "guest_supervisor.");
  u64 cycles = guest_tsc;
  if (extension) {
    cycles = d.count("core0.vm.guest_cycles");
  } else if (d.timed()) {
    const Part user = part_of(d.account("", 0, "user."));
    const u64 kernel = kernel_part(d, user);
    causes.add("guest_user", user.run - kernel);
    causes.add("guest_kernel", kernel);
    causes.add("guest_devices", user.devices);
    causes.add_walks(user.walks, {"user."});
    causes.add("walk_fetch", user.fetches);
    return user.total();
  }
  causes.add("guest", cycles);
  return cycles;
}

/// The run ended before the hypervisor reported of its guest: all that the machine saw of it, the hypervisor's start too.
void add_unreported(const ReportData& d, ModeResult& result) {
  Causes causes(d, result);
  result.reported = false;
  result.cycles = d.count("sim.cycles");
  result.references_per_walk = references_per_walk(d, {"guest_user.", "guest_supervisor."});
  const u64 halted = d.account("", 0)[CycleCause::Halted];
  const u64 inside = add_guest_world(d, causes, 0);
  causes.add("hypervisor", result.cycles - std::min(result.cycles, inside + halted));
  causes.add("halted", halted);
}

void add_hypervisors(const ReportData& d, ModeResult& result) {
  const auto reported = [&d](const std::string& name) { return d.count(guest_prefix + name); };
  if (!d.has(guest_prefix + "end_tsc")) return add_unreported(d, result);
  result.cycles = reported("end_tsc") - std::min(reported("end_tsc"), reported("start_tsc"));
  result.table_bytes = reported("table_bytes");
  result.references_per_walk = references_per_walk(d, d.count("core0.vm.entries") != 0
                                                          ? std::vector<std::string>{"guest_user.", "guest_supervisor."}
                                                          : std::vector<std::string>{"user."});
  Causes causes(d, result);
  const u64 guest_tsc = reported("guest_tsc");
  const u64 inside = add_guest_world(d, causes, guest_tsc);
  causes.add("world_switch", guest_tsc - std::min(guest_tsc, inside));
  u64 accounted = guest_tsc + reported("idle_tsc");
  const std::string prefix = guest_prefix + "exits.";
  constexpr std::string_view last = ".count";
  for (const auto& [name, stat] : d.stats) {
    if (!name.starts_with(prefix) || !name.ends_with(last)) continue;
    const std::string reason = name.substr(prefix.size(), name.size() - prefix.size() - last.size());
    result.exits[reason] = d.count(name);
    const u64 cycles = d.count(prefix + reason + ".tsc");
    causes.add(std::string(handler_prefix) + reason, cycles);
    accounted += cycles;
  }
  causes.add("hypervisor", result.cycles - std::min(result.cycles, accounted));
  causes.add("halted", reported("idle_tsc"));
}

}  // namespace

u64 ModeResult::cause(const std::string& name) const {
  const auto found = std::ranges::find_if(causes, [&](const auto& c) { return c.first == name; });
  return found == causes.end() ? 0 : found->second;
}

ModeResult unmeasured_mode(const std::string& mode, int status, const std::string& reason) {
  ModeResult result;
  result.mode = mode;
  result.guest_exit = status;
  result.reason = reason;
  result.measured = result.reported = false;
  return result;
}

ModeResult mode_result(const std::string& mode, const ReportData& data, bool native) {
  ModeResult result;
  result.mode = mode;
  result.guest_exit = static_cast<int>(data.count("sim.exit_status"));
  result.reason = data.text("sim.end_reason");
  result.timed = data.timed();
  if (native) {
    add_native(data, result);
  } else {
    add_hypervisors(data, result);
  }
  const u64 sum = Causes(data, result).sum();
  if (sum < result.cycles) result.causes.emplace_back("other", result.cycles - sum);
  return result;
}

std::vector<std::string> cause_names(const std::vector<ModeResult>& results) {
  std::map<std::string, u64> most;
  for (const ModeResult& r : results) {
    for (const auto& [name, cycles] : r.causes) most[name] = std::max(most[name], cycles);
  }
  std::vector<std::pair<std::string, u64>> handlers;
  for (const auto& entry : most) {
    if (entry.first.starts_with(handler_prefix)) handlers.push_back(entry);
  }
  std::ranges::stable_sort(handlers, [](const auto& a, const auto& b) { return a.second > b.second; });
  std::vector<std::string> names;
  const auto add_known = [&](const auto& titles) {
    for (const Title& title : titles) {
      if (most.contains(std::string(title.name))) names.emplace_back(title.name);
    }
  };
  add_known(first_causes);
  for (const auto& [name, cycles] : handlers) names.push_back(name);
  add_known(last_causes);
  return names;
}

std::vector<std::string> exit_names(const std::vector<ModeResult>& results) {
  std::map<std::string, u64> most;
  for (const ModeResult& r : results) {
    for (const auto& [name, count] : r.exits) most[name] = std::max(most[name], count);
  }
  std::vector<std::string> names;
  for (const auto& [name, count] : most) names.push_back(name);
  std::ranges::stable_sort(names, [&](const auto& a, const auto& b) { return most[a] > most[b]; });
  return names;
}

std::string cause_title_of(const std::string& cause) {
  for (const Title& t : first_causes) {
    if (t.name == cause) return std::string(t.title);
  }
  for (const Title& t : last_causes) {
    if (t.name == cause) return std::string(t.title);
  }
  std::string reason = cause.starts_with(handler_prefix) ? cause.substr(handler_prefix.size()) : cause;
  std::ranges::replace(reason, '_', ' ');
  return cause.starts_with(handler_prefix) ? "handler of " + reason : reason;
}

std::optional<double> overhead_of(const ModeResult& result, const std::vector<ModeResult>& results) {
  const auto native = std::ranges::find_if(results, [](const ModeResult& r) { return r.mode == "native"; });
  if (native == results.end() || native->cycles == 0 || result.cycles == 0) return std::nullopt;
  // What ended differently, or by a limit, did different work.
  constexpr int limit = static_cast<int>(ExitStatus::Limit);
  if (native->guest_exit != result.guest_exit || result.guest_exit == limit || !result.reported) return std::nullopt;
  return static_cast<double>(result.cycles) / static_cast<double>(native->cycles) - 1;
}

}  // namespace bunshin
