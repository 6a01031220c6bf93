#include "sim/region_statistics.h"

namespace bunshin {

RegionStatistics::Region* RegionStatistics::find(const std::string& name) {
  const auto known = regions_.find(name);
  if (known != regions_.end()) return &known->second;
  if (regions_.size() == max_regions) {
    ++not_recorded_;
    return nullptr;
  }
  return &regions_[name];
}

void RegionStatistics::begin(const std::string& name, u64 cycle) {
  Region* region = find(name);
  if (region == nullptr) return;
  ++region->entries;
  if (region->depth++ != 0) return;
  region->begun_at = cycle;
  read_(region->before);
}

void RegionStatistics::end(const std::string& name, u64 cycle) {
  Region* region = find(name);
  if (region == nullptr) return;
  if (region->depth == 0) {
    ++region->unmatched_ends;
  } else if (--region->depth == 0) {
    close(*region, cycle);
  }
}

void RegionStatistics::close(Region& region, u64 cycle) const {
  region.cycles += cycle - region.begun_at;
  std::vector<u64> now;
  read_(now);
  region.sums.resize(now.size());
  for (std::size_t i = 0; i < now.size(); ++i) region.sums[i] += now[i] - region.before[i];
}

void RegionStatistics::add_to(std::map<std::string, StatValue>& stats, u64 cycle) const {
  const std::vector<StatRegistry::Count> counts = registry_.count_list();
  for (const auto& [name, recorded] : regions_) {
    Region region = recorded;
    if (region.depth != 0) close(region, cycle);
    const std::string prefix = "region." + name + ".";
    stats[prefix + "entries"] = {region.entries, "", "times that the region was begun"};
    stats[prefix + "cycles"] = {region.cycles, "cycles", "of the machine's clock while the region was open"};
    if (region.unmatched_ends != 0) {
      stats[prefix + "unmatched_ends"] = {region.unmatched_ends, "", "ends of the region while it was not open"};
    }
    for (std::size_t i = 0; i < region.sums.size(); ++i) {
      if (region.sums[i] == 0) continue;
      stats[prefix + counts[i].name] = {region.sums[i], counts[i].unit, counts[i].description};
    }
  }
  if (not_recorded_ == 0) return;
  stats["region.not_recorded"] = {not_recorded_, "marks", "of regions beyond the first 64"};
}

}  // namespace bunshin
