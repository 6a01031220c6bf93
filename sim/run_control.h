#pragma once

// What a run does at its points: switches the timing of all cores, begins and ends regions of interest.

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sim/region_statistics.h"
#include "sim/run_point.h"

namespace bunshin {

class RunControl {
 public:
  struct Settings {
    std::vector<SwitchRule> switches;  ///< addresses resolved
    std::vector<RegionRule> regions;
    bool obey_requests = false;  ///< the guest's marks may switch
  };
  /// `switch_timing` is called between slices.
  RunControl(const Settings& settings, RegionStatistics regions, std::function<void(TimingMode)> switch_timing);

  /// The linear addresses that somebody waits for.
  std::vector<u64> addresses() const;

  /// --- For the loop that runs the cores ---
  /// No core runs past this cycle, nor, of all cores together, past this number of instructions.
  u64 next_cycle() const;
  std::optional<u64> next_instructions() const;
  /// A core is about to execute the instruction at `linear`; executes a mark. True if that means something: then the
  /// core's
  /// turn is to end there, and settle() acts on it.
  bool reached(u64 linear);
  bool marked(u16 code);
  /// Between slices: does what is due, in the order in which it came.
  void settle(u64 cycle, u64 instructions);

  /// Adds the regions' statistics.
  void add_to(std::map<std::string, StatValue>& stats, u64 cycle) const { regions_.add_to(stats, cycle); }

 private:
  struct Action {
    enum class Kind : u8 { Switch, Begin, End };
    Kind kind = Kind::Switch;
    TimingMode mode = TimingMode::None;
    std::string region;
  };
  struct Rule {
    RunPoint when;
    Action action;
    u64 times = 0;  ///< that its point came
    bool done = false;
  };
  void add(const RunPoint& when, const Action& action);
  /// Queues the actions of all rules for this point.
  bool came(RunPoint::Kind kind, u64 value);
  std::string region_of_mark(u16 number) const;
  void act(const Action& action, u64 cycle);
  const Rule* first_waiting(RunPoint::Kind kind) const;

  std::vector<Rule> rules_;
  std::vector<std::pair<u16, std::string>> names_;  ///< of the regions that marks begin and end
  std::vector<Action> due_;
  bool obey_requests_;
  RegionStatistics regions_;
  std::function<void(TimingMode)> switch_timing_;
};

}  // namespace bunshin
