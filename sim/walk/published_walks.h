#pragma once

// Published numbers of page-table reads in a walk with no cache at all: without the data access and without writes of A
// and D.

#include <array>
#include <string_view>

#include "sim/walk/walk_table.h"

namespace bunshin {

struct PublishedWalk {
  std::string_view title;
  /// As the command takes them; empty: a scheme that there is none of here, named by `lacking`.
  std::string_view guest, host, guest_page, host_page;
  unsigned references = 0;
  Evidence evidence = Evidence::D;
  std::string_view source;
  std::string_view lacking;
};

inline constexpr std::string_view formula_source = "(n+1)(m+1)-1, Bhargava et al., ASPLOS 2008";

inline constexpr std::array<PublishedWalk, 24> published_walks{{
    {"native, 4 levels", "4level", "none", "4K", "4K", 4, Evidence::V1, "Gandhi et al., MICRO 2014, abstract", ""},
    {"4 on 4 levels", "4level", "4level", "4K", "4K", 24, Evidence::V1,
     "MICRO 2014; nested ECPT, ASPLOS 2022; DMT, ASPLOS 2024: abstracts", ""},
    {"2M guest pages", "4level", "4level", "2M", "4K", 19, Evidence::D, formula_source, ""},
    {"2M host pages", "4level", "4level", "4K", "2M", 19, Evidence::D, formula_source, ""},
    {"2M on 2M", "4level", "4level", "2M", "2M", 15, Evidence::D, formula_source, ""},
    {"1G on 1G", "4level", "4level", "1G", "1G", 8, Evidence::D, formula_source, ""},
    {"5 on 5 levels", "5level", "5level", "4K", "4K", 35, Evidence::D, formula_source, ""},
    {"5 on 4 levels", "5level", "4level", "4K", "4K", 29, Evidence::D, formula_source, ""},
    {"PAE on 4 levels", "pae", "4level", "4K", "4K", 19, Evidence::D, formula_source, ""},
    {"32-bit on 4 levels", "32bit", "4level", "4K", "4K", 14, Evidence::D, formula_source, ""},
    {"shadow tables", "4level", "none", "4K", "4K", 4, Evidence::V2, "Agile Paging, ISCA 2016", ""},
    {"agile, all shadow", "", "", "", "", 4, Evidence::D, "Agile Paging, ISCA 2016", "agile paging"},
    {"agile, switch at L1", "", "", "", "", 8, Evidence::D, "Agile Paging, ISCA 2016", "agile paging"},
    {"agile, switch at L2", "", "", "", "", 12, Evidence::D, "Agile Paging, ISCA 2016", "agile paging"},
    {"agile, switch at L3", "", "", "", "", 16, Evidence::D, "Agile Paging, ISCA 2016", "agile paging"},
    {"agile, switch at L4", "", "", "", "", 20, Evidence::D, "Agile Paging, ISCA 2016", "agile paging"},
    {"agile, all nested", "", "", "", "", 24, Evidence::D, "Agile Paging, ISCA 2016", "agile paging"},
    {"Dual Direct", "", "", "", "", 0, Evidence::M, "MICRO 2014", "direct segments"},
    {"VMM Direct", "", "", "", "", 4, Evidence::M, "MICRO 2014", "direct segments"},
    {"Guest Direct", "", "", "", "", 4, Evidence::M, "MICRO 2014", "direct segments"},
    {"DMT, native", "", "", "", "", 1, Evidence::V1, "DMT, ASPLOS 2024, abstract", "direct memory translation"},
    {"DMT, virtual", "", "", "", "", 2, Evidence::V1, "DMT, ASPLOS 2024, abstract", "direct memory translation"},
    {"DMT, nested virtual", "", "", "", "", 3, Evidence::V1, "DMT, ASPLOS 2024, abstract", "direct memory translation"},
    {"nested ECPT, steps", "", "", "", "", 3, Evidence::V1, "Nested ECPT, ASPLOS 2022, abstract", "cuckoo tables"},
}};

}  // namespace bunshin
