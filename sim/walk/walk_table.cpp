#include "sim/walk/walk_table.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "sim/walk/published_walks.h"
#include "sim/walk/walk_experiment.h"

namespace bunshin {

namespace {

constexpr std::array<std::string_view, 4> evidence_names{"V1", "V2", "D", "M"};
constexpr std::array<PagingMode, 5> modes{PagingMode::FourLevel, PagingMode::FiveLevel, PagingMode::Pae,
                                          PagingMode::TwoLevel, PagingMode::None};

std::string_view evidence_name(Evidence e) { return evidence_names[static_cast<unsigned>(e)]; }

bool is_pae(const WalkSetup& setup) { return paging_format(setup.guest.mode).root_in_registers; }

/// EPT where it has the levels; a PAE guest reads its page-directory-pointer entries under nested paging only.
WalkSetup cold(WalkStage guest, WalkStage host, bool pdpte_registers) {
  WalkSetup setup{guest, host};
  const bool ept = host.levels() >= 4 && pdpte_registers;
  setup.format = ept ? SecondStageFormat::Ept : SecondStageFormat::Npt;
  setup.pdpte_registers = pdpte_registers;
  return setup;
}

WalkTableRow measure(WalkTableRow row, const MachineConfig& config) {
  row.measured = WalkExperiment(*row.setup, config).run().references();
  const bool gate = row.evidence != Evidence::M;
  row.gated = row.gated && gate;
  if (!is_pae(*row.setup)) return row;
  if (row.setup->pdpte_registers) {
    row.gated = false;
    row.note = "PDPTE registers (loaded with CR3, SDM vol. 3, 4.4.1): one level less is read";
  } else {
    row.note = "the walk reads the PDPTE, as under AMD's nested paging (APM vol. 2, 15.25)";
  }
  return row;
}

void add_published(std::vector<WalkTableRow>& rows, const MachineConfig& config) {
  for (const PublishedWalk& p : published_walks) {
    WalkTableRow row;
    row.title = p.title;
    row.published = p.references;
    row.evidence = p.evidence;
    row.source = p.source;
    if (!p.lacking.empty()) {
      row.gated = false;
      row.note = fmt::format("needs {}, which is not modeled", p.lacking);
      rows.push_back(std::move(row));
      continue;
    }
    WalkStage guest{parse_scheme("guest", std::string(p.guest)), page_shift};
    WalkStage host{parse_scheme("second-stage", std::string(p.host)), page_shift};
    guest.shift = parse_page("guest-page", guest.mode, std::string(p.guest_page));
    host.shift = parse_page("host-page", host.mode, std::string(p.host_page));
    row.setup = cold(guest, host, guest.mode != PagingMode::Pae);
    const bool pae = is_pae(*row.setup);
    rows.push_back(measure(row, config));
    if (!pae) continue;
    row.setup = cold(guest, host, true);
    rows.push_back(measure(row, config));
  }
}

std::vector<WalkStage> stages() {
  std::vector<WalkStage> all;
  for (const PagingMode mode : modes) {
    if (mode == PagingMode::None) {
      all.push_back({mode, page_shift});
      continue;
    }
    for (const unsigned shift : page_shifts(mode)) all.push_back({mode, shift});
  }
  return all;
}

void add_combination(std::vector<WalkTableRow>& rows, const WalkSetup& setup, const MachineConfig& config) {
  WalkTableRow row;
  row.setup = setup;
  WalkSetup in_memory = setup;
  in_memory.pdpte_registers = false;
  const auto n = static_cast<unsigned>(in_memory.guest_levels().size());
  const auto m = static_cast<unsigned>(setup.host_levels().size());
  row.published = (n + 1) * (m + 1) - 1;
  row.evidence = Evidence::V2;
  row.source = formula_source;
  rows.push_back(measure(row, config));
}

std::string difference(const WalkTableRow& row) {
  if (!row.measured) return "-";
  const int d = static_cast<int>(*row.measured) - static_cast<int>(row.published);
  return d == 0 ? "0" : fmt::format("{:+}{}", d, row.miss() ? " miss" : "");
}

std::string stage_name(const WalkTableRow& row, bool guest) {
  if (!row.setup) return "-";
  const WalkStage& stage = guest ? row.setup->guest : row.setup->host;
  const std::string_view name = scheme_name(stage.mode);
  if (guest || !stage.present()) return std::string(name);
  return fmt::format("{} {}", name, format_name(row.setup->format));
}

std::string stage_page(const WalkTableRow& row, bool guest) {
  if (!row.setup) return "-";
  const WalkStage& stage = guest ? row.setup->guest : row.setup->host;
  return stage.present() ? page_name(stage.shift) : "-";
}

}  // namespace

std::vector<WalkTableRow> walk_table(const MachineConfig& config) {
  std::vector<WalkTableRow> rows;
  add_published(rows, config);
  for (const WalkStage& guest : stages()) {
    for (const WalkStage& host : stages()) {
      if (!guest.present() && !host.present()) continue;
      if (guest.mode == PagingMode::Pae && host.present()) add_combination(rows, cold(guest, host, false), config);
      if (guest.mode != PagingMode::Pae || host.levels() >= 4 || !host.present()) {
        add_combination(rows, cold(guest, host, true), config);
      }
    }
  }
  return rows;
}

std::string walk_table_text(const std::vector<WalkTableRow>& rows) {
  constexpr std::string_view line = "{:<20} {:<7} {:<12} {:>6} {:>6} {:>9} {:>10} {:<10}  {:<3} {}\n";
  std::string text =
      "Table references of a walk without caches; the data access comes on top. n and m are the levels of guest and "
      "second "
      "stage.\nV1, V2: published and read, or read about; D: derived; M: from memory, no gate.\n\n";
  text += fmt::format(fmt::runtime(line), "case", "guest", "second stage", "page", "page", "measured", "published",
                      "difference", "", "source and notes");
  bool general = false;
  for (const WalkTableRow& row : rows) {
    if (row.title.empty() && !general) {
      text += fmt::format("\nevery combination, against {}\n", formula_source);
      general = true;
    }
    const std::string source = row.title.empty() ? "" : row.source;
    const std::string note = row.note.empty() || source.empty() ? row.note : "; " + row.note;
    std::string out =
        fmt::format(fmt::runtime(line), row.title, stage_name(row, true), stage_name(row, false), stage_page(row, true),
                    stage_page(row, false), row.measured ? std::to_string(*row.measured) : "-", row.published,
                    difference(row), evidence_name(row.evidence), source + note);
    out.erase(out.find_last_not_of(" \n") + 1);
    text += out + "\n";
  }
  const auto misses = std::ranges::count_if(rows, &WalkTableRow::miss);
  const auto gates = std::ranges::count_if(rows, [](const WalkTableRow& r) { return r.measured && r.gated; });
  return text + fmt::format("\n{} of {} gated rows differ\n", misses, gates);
}

std::string walk_table_json(const std::vector<WalkTableRow>& rows) {
  using Json = nlohmann::ordered_json;
  Json json;
  json["misses"] = std::ranges::count_if(rows, &WalkTableRow::miss);
  json["rows"] = Json::array();
  for (const WalkTableRow& row : rows) {
    Json j;
    j["case"] = row.title.empty() ? Json() : Json(row.title);
    j["guest"] = row.setup ? Json(scheme_name(row.setup->guest.mode)) : Json();
    j["second_stage"] = row.setup ? Json(scheme_name(row.setup->host.mode)) : Json();
    const bool format = row.setup && row.setup->host.present();
    j["second_stage_format"] = format ? Json(format_name(row.setup->format)) : Json();
    j["guest_page"] = row.setup && row.setup->guest.present() ? Json(stage_page(row, true)) : Json();
    j["host_page"] = format ? Json(stage_page(row, false)) : Json();
    j["measured"] = row.measured ? Json(*row.measured) : Json();
    j["published"] = row.published;
    j["difference"] = row.measured ? Json(static_cast<int>(*row.measured) - static_cast<int>(row.published)) : Json();
    j["miss"] = row.miss();
    j["gated"] = row.gated;
    j["evidence"] = evidence_name(row.evidence);
    j["source"] = row.source;
    j["note"] = row.note.empty() ? Json() : Json(row.note);
    json["rows"].push_back(std::move(j));
  }
  return json.dump(2) + "\n";
}

bool any_miss(const std::vector<WalkTableRow>& rows) { return std::ranges::any_of(rows, &WalkTableRow::miss); }

}  // namespace bunshin
