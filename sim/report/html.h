#pragma once

// Small pieces of HTML. Whatever came from a guest or a file goes through escape().

#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace bunshin::html {

/// Markup and control characters made harmless; what is not UTF-8 becomes the replacement character.
std::string escape(std::string_view text);

/// 1 234 567 with narrow spaces that do not break.
std::string count(u64 value);
/// Three significant digits and an SI prefix: 1.23 G.
std::string si(double value);
/// "12.3 %"; "<0.1 %" rather than 0.0 for what is there but small.
std::string percent(double part, double whole);
/// Up to three decimals, fewer for large numbers.
std::string decimal(double value);
/// Cycles of a clock as time: "1.25 ms".
std::string duration(double seconds);

/// A table whose first `text_columns` columns are text and whose others are numbers. Cells are HTML already.
class Table {
 public:
  Table(std::vector<std::string> headings, unsigned text_columns);
  void row(const std::vector<std::string>& cells, std::string_view css_class = "");
  bool empty() const { return rows_.empty(); }
  std::string str() const;

 private:
  std::string line(const char* cell, const std::vector<std::string>& cells, std::string_view css_class) const;

  std::vector<std::string> headings_;
  unsigned text_columns_;
  std::string rows_;
};

/// A bar behind a number, `share` of the cell's width (0 to 1).
std::string bar(double share, const std::string& text, std::string_view css_class = "");
/// A section with a heading; `id` is what links lead to.
std::string section(const char* id, const std::string& title, const std::string& body);
/// Open it to read it.
std::string folded(const std::string& summary, const std::string& body);

}  // namespace bunshin::html
