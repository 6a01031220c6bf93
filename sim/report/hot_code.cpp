#include "sim/report/hot_code.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "sim/debug/code_names.h"
#include "sim/debug/disassembler.h"

namespace bunshin {

namespace {

using nlohmann::json;

constexpr std::size_t instructions_shown = 60, functions_shown = 40, listings_shown = 6;
/// Instructions before and after the hottest one of a listing.
constexpr std::size_t context = 8;

class HotCode {
 public:
  HotCode(const HotInstructions& hot, const CodeNames& names)
      : hot_(hot), names_(names), by_cycles_(hot.hottest()), by_address_(by_cycles_) {
    std::sort(by_address_.begin(), by_address_.end(), before);
  }

  json make() const {
    u64 cycles = hot_.other_cycles();
    u64 executions = hot_.other_executions();
    for (const HotInstruction& h : by_cycles_) {
      cycles += h.cycles;
      executions += h.executions;
    }
    return {{"cycles", cycles},
            {"executions", executions},
            {"functions", functions()},
            {"instructions", instructions()},
            {"listings", listings()}};
  }

 private:
  static bool before(const HotInstruction& a, const HotInstruction& b) {
    return std::tuple(a.rip, a.physical, a.bits) < std::tuple(b.rip, b.physical, b.bits);
  }
  /// `b` lies directly behind `a` in the same code.
  static bool adjacent(const HotInstruction& a, const HotInstruction& b) {
    return a.bits == b.bits && a.rip + a.length == b.rip &&
           (a.physical + a.length == b.physical || b.rip % page_size == 0);
  }

  json describe(const HotInstruction& h) const {
    const bool known = h.length != 0 && std::any_of(h.bytes.begin(), h.bytes.end(), [](u8 b) { return b != 0; });
    const std::span<const u8> bytes(h.bytes.data(), h.length);
    const Disassembler disassembler(h.bits);
    return {{"rip", fmt::format("{:#x}", h.rip)},
            {"symbol", names_.describe(h.rip, h.physical)},
            {"bytes", known ? hex_bytes(bytes) : ""},
            {"text", known ? disassembler.at(bytes, h.rip).text : ""},
            {"user", h.user},
            {"hypervisor", names_.is_hypervisor(h.rip, h.physical)},
            {"bits", h.bits},
            {"executions", h.executions},
            {"cycles", h.cycles}};
  }

  json instructions() const {
    json list = json::array();
    for (std::size_t i = 0; i < std::min(by_cycles_.size(), instructions_shown); ++i)
      list.push_back(describe(by_cycles_[i]));
    return list;
  }

  json functions() const {
    struct Sum {
      std::string name;
      bool named = false, user = false, hypervisor = false;
      u64 cycles = 0, executions = 0;
    };
    std::map<std::tuple<std::string, bool, bool>, Sum> sums;
    for (const HotInstruction& h : by_cycles_) {
      std::string name = names_.function(h.rip, h.physical);
      const bool named = !name.empty();
      if (!named) name = fmt::format("{:#x}", h.rip & ~(page_size - 1));
      const bool hypervisor = names_.is_hypervisor(h.rip, h.physical);
      Sum& sum = sums[{name, h.user, hypervisor}];
      sum.name = name;
      sum.named = named;
      sum.user = h.user;
      sum.hypervisor = hypervisor;
      sum.cycles += h.cycles;
      sum.executions += h.executions;
    }
    std::vector<Sum> sorted;
    for (const auto& [key, sum] : sums) sorted.push_back(sum);
    std::stable_sort(sorted.begin(), sorted.end(), [](const Sum& a, const Sum& b) { return a.cycles > b.cycles; });
    // Of the hypervisor's functions all are kept: they are few, and a part of the report is about them alone.
    json list = json::array();
    for (std::size_t i = 0; i < sorted.size(); ++i) {
      const Sum& s = sorted[i];
      if (i >= functions_shown && !s.hypervisor) continue;
      list.push_back({{"name", s.name},
                      {"page", !s.named},
                      {"user", s.user},
                      {"hypervisor", s.hypervisor},
                      {"cycles", s.cycles},
                      {"executions", s.executions}});
    }
    return list;
  }

  json listings() const {
    json list = json::array();
    std::vector<std::pair<std::size_t, std::size_t>> taken;
    for (const HotInstruction& h : by_cycles_) {
      if (list.size() == listings_shown || h.cycles == 0) break;
      const auto at = static_cast<std::size_t>(std::lower_bound(by_address_.begin(), by_address_.end(), h, before) -
                                               by_address_.begin());
      if (std::any_of(taken.begin(), taken.end(), [at](const auto& t) { return at >= t.first && at <= t.second; }))
        continue;
      std::size_t first = at;
      std::size_t last = at;
      while (first > 0 && at - first < context && adjacent(by_address_[first - 1], by_address_[first])) --first;
      while (last + 1 < by_address_.size() && last - at < context && adjacent(by_address_[last], by_address_[last + 1]))
        ++last;
      taken.emplace_back(first, last);
      json lines = json::array();
      for (std::size_t i = first; i <= last; ++i) lines.push_back(describe(by_address_[i]));
      list.push_back(lines);
    }
    return list;
  }

  const HotInstructions& hot_;
  const CodeNames& names_;
  std::vector<HotInstruction> by_cycles_, by_address_;
};

}  // namespace

json hot_code_json(const HotInstructions& hot, const CodeNames& names) { return HotCode(hot, names).make(); }

}  // namespace bunshin
