#include "sim/report/report_page.h"

#include <array>

#include <fmt/format.h>

#include "sim/report/html.h"
#include "sim/report/page_sections.h"
#include "sim/report/report_style.h"
#include "sim/version.h"

namespace bunshin {

namespace {

struct Part {
  const char* id;
  const char* title;
  std::string (*make)(const ReportData&);
};

constexpr std::array<Part, 16> parts{{{"overview", "Overview", overview_section},
                                      {"cycles", "Cycles", cycles_section},
                                      {"timeline", "Over time", time_line_section},
                                      {"caches", "Misses", caches_section},
                                      {"exits", "Exits", exits_section},
                                      {"hypervisor", "Hypervisor", hypervisor_section},
                                      {"translation", "Translation", translation_section},
                                      {"spaces", "Address spaces", address_spaces_section},
                                      {"pages", "Pages", pages_section},
                                      {"code", "Code", code_section},
                                      {"memory", "Memory", memory_section},
                                      {"branches", "Branches", branches_section},
                                      {"events", "Events", events_section},
                                      {"console", "Console", console_section},
                                      {"configuration", "Configuration", configuration_section},
                                      {"statistics", "Statistics", statistics_section}}};

}  // namespace

std::string report_html(const ReportData& data) {
  std::string body;
  std::string links;
  for (const Part& part : parts) {
    const std::string section = part.make(data);
    if (section.empty()) continue;
    links += fmt::format("<a href=\"#{}\">{}</a>", part.id, part.title);
    body += section;
  }
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width,initial-scale=1\"><meta name=\"color-scheme\" content=\"light "
      "dark\"><title>bunshin: "
      "where did the cycles "
      "go?</title><style>{}</style></head>\n<body><nav><div>{}</div></nav>\n<main>{}<footer>bunshin {}. "
      "Names, units and how everything is counted: docs/statistics.md.</footer></main></body></html>\n",
      report_style, links, body, version);
}

}  // namespace bunshin
