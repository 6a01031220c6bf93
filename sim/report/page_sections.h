#pragma once

// The sections of report.html, each made of what a run left behind. Empty where the run has nothing to say about it.

#include <string>

#include "sim/report/report_data.h"

namespace bunshin {

std::string overview_section(const ReportData& data);
std::string cycles_section(const ReportData& data);
std::string time_line_section(const ReportData& data);
std::string caches_section(const ReportData& data);
std::string exits_section(const ReportData& data);
std::string hypervisor_section(const ReportData& data);
std::string translation_section(const ReportData& data);
std::string address_spaces_section(const ReportData& data);
std::string pages_section(const ReportData& data);
std::string code_section(const ReportData& data);
std::string memory_section(const ReportData& data);
std::string branches_section(const ReportData& data);
std::string events_section(const ReportData& data);
std::string console_section(const ReportData& data);
std::string configuration_section(const ReportData& data);
std::string statistics_section(const ReportData& data);

/// What a cause of the CPI stack is called in prose.
const char* cause_title(CycleCause cause);
/// Consecutive causes that belong together, for charts with little room and for the summary.
struct CauseGroup {
  const char* title;
  const char* css;  ///< class of the colour
  std::vector<CycleCause> causes;
  u64 of(const CycleAccount& account) const;
};
const std::vector<CauseGroup>& cause_groups();

}  // namespace bunshin
