#pragma once

// What the hypervisor reports of its guests on its console, as statistics of the run.

#include <map>
#include <string>
#include <string_view>

#include "base/stats.h"

namespace bunshin {

/// Adds `vmm.guest.NAME.WHAT` and `vmm.guest.NAME.exits.REASON.count` and `.tsc` from the lines "NAME: WHAT N WHAT N …" and "NAME: exits REASON N tsc N". Other lines are for people.
void add_hypervisor_statistics(std::string_view console, std::map<std::string, StatValue>& stats);

}  // namespace bunshin
