#include "core/timing/block_flow.h"

#include <algorithm>
#include <bit>
#include <map>

namespace bunshin {

PortGroups::PortGroups(const PipelineParameters& parameters) {
  of.fill(none);
  std::map<u16, u8> known;
  for (unsigned i = 0; i < op_classes; ++i) {
    const u16 ports = parameters.classes[i].port_mask();
    if (ports == 0) continue;
    const auto [group, added] = known.try_emplace(ports, static_cast<u8>(count));
    if (added) ++count;
    of[i] = group->second;
    use[i] = (parameters.classes[i].interval << 16) / static_cast<unsigned>(std::popcount(ports));
  }
}

namespace {

/// When something is there: `base` cycles after the block has entered, or later if a source is.
struct Time {
  static constexpr int never = -1;
  int base = 0;
  std::array<int, BlockFlow::times> delays;  ///< `never`: does not depend on it

  explicit Time(int at) : base(at) { delays.fill(never); }
  static Time of_source(unsigned source) {
    Time t(0);
    t.delays[source] = 0;
    return t;
  }
  void wait_for(const Time& other) {
    base = std::max(base, other.base);
    for (unsigned i = 0; i < delays.size(); ++i) delays[i] = std::max(delays[i], other.delays[i]);
  }
  void add(int cycles) {
    base += cycles;
    for (int& d : delays) d += d == never ? 0 : cycles;
  }
};

class Deriver {
 public:
  Deriver(const PipelineParameters& parameters, const PortGroups& groups) : parameters_(parameters), groups_(groups) {
    for (unsigned r = 0; r < depend::count; ++r) registers_.push_back(Time::of_source(r));
  }

  BlockFlow derive(const BlockPlan& plan) {
    Time done(0);
    Time last(0);
    for (unsigned i = 0; i < plan.count; ++i) {
      last = instruction(plan.entries[i].operation, i);
      done.wait_for(last);
    }
    for (unsigned r = 0; r < depend::count; ++r) {
      if (provided_[r]) forget_what_is_earlier(done, registers_[r]);
    }
    std::vector<const Time*> results;
    for (unsigned r = 0; r < depend::count; ++r) {
      if (!provided_[r]) continue;
      results.push_back(&registers_[r]);
      flow_.targets.push_back(static_cast<u8>(r));
    }
    results.push_back(&done);
    flow_.targets.push_back(BlockFlow::done);
    flow_.usable = add_columns(results);
    flow_.first_branch_edge = next_edge();
    add_edges(last);
    flow_.branch_edges = pack_from(flow_.first_branch_edge);
    for (unsigned g = 0; g < groups_.count; ++g) {
      if (used_[g] != 0) flow_.groups.push_back({static_cast<u8>(g), used_[g]});
    }
    return std::move(flow_);
  }

 private:
  Time instruction(const Operation& o, unsigned number) {
    Time operands(static_cast<int>(number / parameters_.width) + 1);
    for (unsigned i = 0; i < o.addresses; ++i) operands.wait_for(registers_[o.sources[i]]);
    const Time addresses = operands;
    for (unsigned i = o.addresses; i < o.source_count; ++i) operands.wait_for(registers_[o.sources[i]]);
    for (unsigned i = 0; i < o.loads; ++i) {
      access(on_port(addresses, OpClass::Load), false, number);
      operands.wait_for(Time::of_source(BlockFlow::first_load + flow_.loads++));
    }
    Time done = operands;
    if (o.op != OpClass::Load && o.op != OpClass::Nop) {
      done = on_port(operands, o.op);
      done.add(static_cast<int>(parameters_.classes[static_cast<unsigned>(o.op)].latency));
    }
    for (unsigned i = 0; i < o.result_count; ++i) {
      registers_[o.results[i]] = done;
      provided_[o.results[i]] = true;
    }
    for (unsigned i = 0; i < o.stores; ++i) {
      access(done, true, number);
      ++flow_.stores;
    }
    return done;
  }

  /// When an instruction begins that is `ready`: behind what the group's ports have to do for those before it.
  Time on_port(Time ready, OpClass op) {
    const unsigned group = groups_.of[static_cast<unsigned>(op)];
    const u64 use = groups_.use[static_cast<unsigned>(op)];
    // As many ports as instructions can enter never have a backlog.
    if (group == PortGroups::none || use * parameters_.width <= u64{1} << 16) return ready;
    const auto before = static_cast<int>(used_[group] >> 16);
    ready.base = std::max(ready.base, before + 1);
    int& backlog = ready.delays[BlockFlow::first_group + group];
    backlog = std::max(backlog, before);
    used_[group] += use;
    return ready;
  }

  /// Results are looked at anyway: `done` need not say what they say.
  static void forget_what_is_earlier(Time& done, const Time& result) {
    if (done.base <= result.base) done.base = 0;
    for (unsigned i = 0; i < done.delays.size(); ++i) {
      if (done.delays[i] <= result.delays[i]) done.delays[i] = Time::never;
    }
  }

  u16 next_edge() const { return static_cast<u16>(flow_.all_edges.size()); }
  static u16 limited(int cycles) { return static_cast<u16>(std::min(cycles, 0xffff)); }

  void add_edges(const Time& t) {
    flow_.all_edges.push_back({BlockFlow::entry, limited(t.base)});
    for (unsigned i = 0; i < t.delays.size(); ++i) {
      if (t.delays[i] != Time::never) flow_.all_edges.push_back({static_cast<u8>(i), limited(t.delays[i])});
    }
  }
  /// Fills the last pack up; returns how many edges there are.
  u16 pack_from(u16 first) {
    while ((flow_.all_edges.size() - first) % BlockFlow::pack != 0) flow_.all_edges.push_back({});
    return static_cast<u16>(flow_.all_edges.size() - first);
  }
  void access(const Time& t, bool store, unsigned number) {
    BlockFlow::Access a{next_edge(), 0, store, static_cast<u8>(number)};
    add_edges(t);
    a.edges = pack_from(a.first_edge);
    flow_.accesses.push_back(a);
  }
  /// False if a delay is too long.
  bool add_columns(const std::vector<const Time*>& results) {
    const auto depends = [&](unsigned source) {
      return std::any_of(results.begin(), results.end(),
                         [&](const Time* t) { return t->delays[source] != Time::never; });
    };
    for (unsigned i = 0; i < BlockFlow::entry; ++i) {
      if (depends(i)) flow_.result_sources.push_back(static_cast<u8>(i));
    }
    int longest = 0;
    for (std::size_t first = 0; first < results.size(); first += BlockFlow::lanes) {
      const auto column = [&](auto delay_of) {
        BlockFlow::Delays delays;
        for (unsigned lane = 0; lane < BlockFlow::lanes; ++lane) {
          const int delay = first + lane < results.size() ? delay_of(*results[first + lane]) : Time::never;
          longest = std::max(longest, delay);
          delays[lane] = static_cast<i16>(delay == Time::never ? -BlockFlow::longest : delay);
        }
        flow_.columns.push_back(delays);
      };
      column([](const Time& t) { return t.base; });
      for (const u8 source : flow_.result_sources) column([source](const Time& t) { return t.delays[source]; });
    }
    return longest <= BlockFlow::longest;
  }

  const PipelineParameters& parameters_;
  const PortGroups& groups_;
  BlockFlow flow_;
  std::vector<Time> registers_;
  std::array<bool, depend::count> provided_{};
  std::array<u64, op_classes> used_{};
};

}  // namespace

BlockFlow derive_flow(const BlockPlan& plan, const PipelineParameters& parameters, const PortGroups& groups) {
  unsigned accesses = 0;
  for (const BlockPlan::Entry& e : plan.entries) {
    const Operation& o = e.operation;
    accesses += o.loads + o.stores;
    if (o.open_ended || o.serializing || accesses > BlockFlow::max_accesses) return {};
  }
  return Deriver(parameters, groups).derive(plan);
}

}  // namespace bunshin
