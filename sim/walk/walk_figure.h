#pragma once

// Where the boxes of a walk's figure stand: the textbook's grid, with a row for each of the guest's levels and one for
// the data, a column for each of the second stage's levels, and at the end of each row what the row was for. A
// translation with one dimension is one row.

#include <string>
#include <vector>

#include "sim/walk/walk_report.h"

namespace bunshin {

struct FigureBox {
  unsigned row = 0, column = 0;
  unsigned dimension = 0, level = 0;
  /// Null: skipped.
  const WalkStep* step = nullptr;
  std::string skipped;   ///< why
  unsigned updates = 0;  ///< of A or D, made in this entry
};

struct WalkFigure {
  explicit WalkFigure(const WalkReport& report);

  unsigned rows = 0, columns = 0;
  std::vector<FigureBox> boxes;            ///< row by row
  std::vector<std::string> column_titles;  ///< empty in one dimension
  std::vector<std::string> row_titles;     ///< two lines each, separated by '\n'

 private:
  void add_box(const WalkReport& report, unsigned row_level, FigureBox box);
};

}  // namespace bunshin
