#pragma once

// report.html: one file, no network, no fonts or scripts from elsewhere.

#include <string>

#include "sim/report/report_data.h"

namespace bunshin {

std::string report_html(const ReportData& data);

}  // namespace bunshin
