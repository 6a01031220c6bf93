#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "sim/walk/walk_figure.h"

namespace bunshin {

namespace {

constexpr unsigned box_width = 148, box_height = 66, gap_x = 26, gap_y = 30, left = 176, right = 28, bottom = 84;

struct Shade {
  std::string_view hit, fill, stroke;
};
/// From near to far. Told apart by lightness too, for those who do not see the colours.
constexpr std::array<Shade, 6> shades{{{"L1", "#e3f4e4", "#3d8b4a"},
                                       {"L2", "#d3ecec", "#2b7f86"},
                                       {"L3", "#fdf0c8", "#b98a12"},
                                       {"remote", "#fde0c4", "#c56a1a"},
                                       {"DRAM", "#f8cfc8", "#b93a2b"},
                                       {"uncached", "#e4d4ee", "#7a4a9c"}}};

const Shade& shade_of(std::string_view hit) {
  for (const Shade& s : shades) {
    if (s.hit == hit) return s;
  }
  return shades.back();
}

constexpr std::string_view style =
    "text{font-family:'DejaVu Sans','Segoe UI',Helvetica,Arial,sans-serif;fill:#1d2430}"
    ".title{font-size:19px;font-weight:bold}.sub{font-size:13px;fill:#4a5363}.head{font-size:14px;font-weight:bold;"
    "text-anchor:middle}.row{font-size:13px;font-weight:bold;text-anchor:end}.name{font-size:13px;font-weight:bold}"
    ".addr{font-family:'DejaVu Sans Mono',Consolas,Menlo,monospace;font-size:12px}"
    ".radr{font-family:'DejaVu Sans Mono',Consolas,Menlo,monospace;font-size:12px;text-anchor:end;fill:#4a5363}"
    ".cost{font-size:12px}.num{font-size:12px;font-weight:bold;text-anchor:middle}"
    ".num.light{fill:#fff}.skip{fill:#8a92a0}.flow{fill:none;stroke:#7b8494;stroke-width:1.5}";

class Drawing {
 public:
  Drawing(const WalkReport& report, const WalkFigure& figure)
      : report_(report),
        figure_(figure),
        top_(figure.column_titles.empty() ? 88 : 118),
        width_(std::max(left + figure.columns * (box_width + gap_x) - gap_x + right, 780u)),
        height_(top_ + figure.rows * (box_height + gap_y) - gap_y + bottom) {}

  std::string draw() {
    svg_ = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" role=\"img\">\n"
        "<title>{2}</title>\n<style>{3}</style>\n"
        "<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" "
        "orient=\"auto\"><path d=\"M0,0 L8,4 L0,8 z\" fill=\"#7b8494\"/></marker></defs>\n"
        "<rect width=\"{0}\" height=\"{1}\" rx=\"10\" fill=\"#ffffff\"/>\n",
        width_, height_, describe(report_.setup), style);
    head();
    for (std::size_t i = 0; i < figure_.boxes.size(); ++i) flow(i);
    for (const FigureBox& box : figure_.boxes) draw_box(box);
    foot();
    return svg_ + "</svg>\n";
  }

 private:
  static unsigned x_of(unsigned column) { return left + column * (box_width + gap_x); }
  unsigned y_of(unsigned row) const { return top_ + row * (box_height + gap_y); }

  void text(std::string_view kind, unsigned x, unsigned y, std::string_view words) {
    svg_ += fmt::format("<text class=\"{}\" x=\"{}\" y=\"{}\">{}</text>\n", kind, x, y, words);
  }

  void head() {
    text("title", 28, 38, describe(report_.setup));
    std::string way = report_.setup.guest.present() ? fmt::format("linear {:#x} → ", report_.linear) : "";
    if (report_.setup.host.present()) way += fmt::format("guest-physical {:#x} → ", report_.guest_physical);
    text("sub", 28, 62, way + fmt::format("host-physical {:#x}", report_.host_physical));
    for (unsigned column = 0; column < figure_.column_titles.size(); ++column) {
      text("head", x_of(column) + box_width / 2, top_ - 16, figure_.column_titles[column]);
    }
    for (unsigned row = 0; row < figure_.rows; ++row) {
      const std::string& title = figure_.row_titles[row];
      const std::size_t line = title.find('\n');
      text("row", left - 28, y_of(row) + 29, title.substr(0, line));
      text("radr", left - 28, y_of(row) + 47, title.substr(line + 1));
    }
  }

  /// How a box is reached from the one before it: from the left, or from the end of the row above.
  void flow(std::size_t i) {
    const FigureBox& box = figure_.boxes[i];
    const unsigned middle = y_of(box.row) + box_height / 2;
    const unsigned begin = box.column == 0 ? left - 20 : x_of(box.column - 1) + box_width;
    svg_ += fmt::format("<path class=\"flow\" d=\"M{},{} H{}\" marker-end=\"url(#tip)\"/>\n", begin + 1, middle,
                        x_of(box.column) - 1);
    if (box.column != 0 || box.row == 0) return;
    const unsigned from = x_of(figure_.columns - 1) + box_width / 2;
    const unsigned between = y_of(box.row) - gap_y / 2;
    const unsigned label = left - 60;
    svg_ += fmt::format("<path class=\"flow\" d=\"M{},{} V{} H{} V{}\" marker-end=\"url(#tip)\"/>\n", from,
                        y_of(box.row - 1) + box_height + 1, between, label, y_of(box.row) + 15);
  }

  void frame(const FigureBox& box, std::string_view fill, std::string_view stroke, std::string_view extra) {
    svg_ += fmt::format(
        "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"7\" fill=\"{}\" stroke=\"{}\" "
        "stroke-width=\"{}\"{}/>\n",
        x_of(box.column), y_of(box.row), box_width, box_height, fill, stroke, box.dimension == 0 ? "3" : "1.5", extra);
  }

  std::string title_of(const FigureBox& box) const {
    if (box.dimension == 0) return "data";
    return fmt::format("{} · {}", level_name(report_.setup, box.dimension, box.level), entry_name(box.level));
  }

  void draw_box(const FigureBox& box) {
    const unsigned x = x_of(box.column);
    const unsigned y = y_of(box.row);
    if (box.step == nullptr) {
      frame(box, "#f3f4f6", "#b4bac4", " stroke-dasharray=\"5 4\"");
      text("name skip", x + 12, y + 21, title_of(box));
      text("cost skip", x + 12, y + 41, "not read:");
      text("cost skip", x + 12, y + 57, box.skipped);
      return;
    }
    const WalkStep& step = *box.step;
    const Shade& shade = shade_of(step.hit);
    frame(box, shade.fill, shade.stroke, "");
    // The guest's own references are filled, the second stage's are rings.
    const bool filled = box.dimension != 2;
    svg_ += fmt::format("<circle cx=\"{}\" cy=\"{}\" r=\"11\" fill=\"{}\" stroke=\"#2c3a55\" stroke-width=\"1.5\"/>\n",
                        x + 18, y + 17, filled ? "#2c3a55" : "#ffffff");
    text(filled ? "num light" : "num", x + 18, y + 21, fmt::format("{}", step.number));
    text("name", x + 36, y + 21, title_of(box));
    text("addr", x + 12, y + 42, fmt::format("{:#x}", step.host_physical));
    const std::string updates = box.updates == 0 ? "" : " · sets A, D";
    text("cost", x + 12, y + 59, fmt::format("{} · {} cycles{}", step.hit, step.cycles, updates));
  }

  void foot() {
    const unsigned y = height_ - 44;
    text("name", 28, y, totals(report_));
    unsigned x = 28;
    for (const Shade& shade : shades) {
      if (shade.hit == "uncached" || shade.hit == "remote") continue;
      svg_ += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"16\" height=\"12\" rx=\"3\" fill=\"{}\" stroke=\"{}\"/>\n",
                          x, y + 15, shade.fill, shade.stroke);
      text("sub", x + 22, y + 26, shade.hit);
      x += shade.hit == "DRAM" ? 92 : 72;
    }
    svg_ += fmt::format(
        "<rect x=\"{}\" y=\"{}\" width=\"16\" height=\"12\" rx=\"3\" fill=\"#f3f4f6\" stroke=\"#b4bac4\" "
        "stroke-dasharray=\"3 2\"/>\n",
        x, y + 15);
    text("sub", x + 22, y + 26, "not read");
    if (report_.setup.host.present() && report_.setup.guest.present()) legend_of_dimensions(x + 112, y + 21);
  }

  void legend_of_dimensions(unsigned x, unsigned y) {
    svg_ += fmt::format("<circle cx=\"{}\" cy=\"{}\" r=\"7\" fill=\"#2c3a55\" stroke=\"#2c3a55\"/>\n", x, y);
    text("sub", x + 13, y + 5, "guest's table");
    svg_ += fmt::format(
        "<circle cx=\"{}\" cy=\"{}\" r=\"7\" fill=\"#ffffff\" stroke=\"#2c3a55\" stroke-width=\"1.5\"/>\n", x + 126, y);
    text("sub", x + 139, y + 5, "second stage's table");
  }

  const WalkReport& report_;
  const WalkFigure& figure_;
  const unsigned top_, width_, height_;
  std::string svg_;
};

}  // namespace

std::string walk_svg(const WalkReport& report) {
  const WalkFigure figure(report);
  return Drawing(report, figure).draw();
}

}  // namespace bunshin
