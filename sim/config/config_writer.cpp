#include "sim/config/config_writer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <yaml-cpp/yaml.h>

#include "sim/config/units.h"

namespace bunshin {

void YamlWriter::boolean(std::string_view name, bool& value, std::string_view) {
  out_ << YAML::Key << std::string(name) << YAML::Value << value;
}

void YamlWriter::integer(std::string_view name, u64& value, Range, std::string_view unit, std::string_view) {
  out_ << YAML::Key << std::string(name) << YAML::Value << format_quantity(value, unit);
}

void YamlWriter::text(std::string_view name, std::string& value, std::string_view) {
  out_ << YAML::Key << std::string(name) << YAML::Value << YAML::DoubleQuoted << value;
}

void YamlWriter::path(std::string_view name, std::string& value, std::string_view description) {
  text(name, value, description);
}

void YamlWriter::choice(std::string_view name, std::string& value, std::span<const std::string_view>,
                        std::string_view) {
  out_ << YAML::Key << std::string(name) << YAML::Value << value;
}

void YamlWriter::list(std::string_view name, std::vector<std::string>& value, std::string_view) {
  out_ << YAML::Key << std::string(name) << YAML::Value << YAML::Flow << YAML::BeginSeq;
  for (const std::string& item : value) out_ << YAML::DoubleQuoted << item;
  out_ << YAML::EndSeq;
}

void YamlWriter::begin_group(std::string_view name, std::string_view) {
  out_ << YAML::Key << std::string(name) << YAML::Value << YAML::BeginMap;
}

void YamlWriter::end_group() { out_ << YAML::EndMap; }

std::size_t YamlWriter::begin_list(std::string_view name, std::size_t count, std::string_view) {
  out_ << YAML::Key << std::string(name) << YAML::Value << (count == 0 ? YAML::Flow : YAML::Block) << YAML::BeginSeq;
  return count;
}

void YamlWriter::begin_item(std::string_view, std::size_t) { out_ << YAML::BeginMap; }

void YamlWriter::end_item() { out_ << YAML::EndMap; }

void YamlWriter::end_list() { out_ << YAML::EndSeq; }

void ReferenceWriter::row(std::string_view name, const std::string& type, const std::string& value,
                          std::string_view description) {
  if (!table_open_) markdown_ += "\n| key | value | default | meaning |\n| --- | --- | --- | --- |\n";
  table_open_ = true;
  const std::string shown = value.empty() ? "" : fmt::format("`{}`", value);
  markdown_ += fmt::format("| `{}{}` | {} | {} | {} |\n", prefixes_.back(), name, type, shown, description);
}

void ReferenceWriter::boolean(std::string_view name, bool& value, std::string_view description) {
  row(name, "true or false", value ? "true" : "false", description);
}

void ReferenceWriter::integer(std::string_view name, u64& value, Range range, std::string_view unit,
                              std::string_view description) {
  std::string bounds;
  if (range.max != ~u64{0}) {
    bounds = fmt::format("{} to {}", format_quantity(range.min, unit), format_quantity(range.max, unit));
  } else {
    bounds = range.min == 0 ? "whole number" : fmt::format("at least {}", format_quantity(range.min, unit));
  }
  row(name, unit.empty() ? bounds : fmt::format("{} ({})", bounds, unit), format_quantity(value, unit), description);
}

void ReferenceWriter::text(std::string_view name, std::string& value, std::string_view description) {
  row(name, "text", value, description);
}

void ReferenceWriter::path(std::string_view name, std::string& value, std::string_view description) {
  row(name, "file name", value, description);
}

void ReferenceWriter::choice(std::string_view name, std::string& value, std::span<const std::string_view> allowed,
                             std::string_view description) {
  row(name, fmt::format("`{}`", fmt::join(allowed, "`, `")), value, description);
}

void ReferenceWriter::list(std::string_view name, std::vector<std::string>& value, std::string_view description) {
  row(name, "list", fmt::format("{}", fmt::join(value, ", ")), description);
}

void ReferenceWriter::paths(std::string_view name, std::vector<std::string>& value, std::string_view description) {
  row(name, "list of file names", fmt::format("{}", fmt::join(value, ", ")), description);
}

void ReferenceWriter::begin_group(std::string_view name, std::string_view description) {
  markdown_ +=
      fmt::format("\n{} {}{}\n\n{}\n", prefixes_.size() == 1 ? "##" : "###", prefixes_.back(), name, description);
  prefixes_.push_back(fmt::format("{}{}.", prefixes_.back(), name));
  table_open_ = false;
}

std::size_t ReferenceWriter::begin_list(std::string_view name, std::size_t, std::string_view description) {
  begin_group(std::string(name) + "[]", description);
  return 1;
}

void ReferenceWriter::end_group() {
  prefixes_.pop_back();
  table_open_ = false;
}

}  // namespace bunshin
