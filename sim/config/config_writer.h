#pragma once

// The other readings of parameter declarations: run.yaml and the configuration reference.

#include <string>

#include "base/parameters.h"

namespace YAML {
class Emitter;
}

namespace bunshin {

/// Writes every visited parameter with its value as YAML that ConfigReader reads back to the same values.
class YamlWriter final : public ParameterVisitor {
 public:
  explicit YamlWriter(YAML::Emitter& out) : out_(out) {}

  void boolean(std::string_view name, bool& value, std::string_view description) override;
  void integer(std::string_view name, u64& value, Range range, std::string_view unit,
               std::string_view description) override;
  void text(std::string_view name, std::string& value, std::string_view description) override;
  void path(std::string_view name, std::string& value, std::string_view description) override;
  void choice(std::string_view name, std::string& value, std::span<const std::string_view> allowed,
              std::string_view description) override;
  void list(std::string_view name, std::vector<std::string>& value, std::string_view description) override;
  void begin_group(std::string_view name, std::string_view description) override;
  void end_group() override;
  std::size_t begin_list(std::string_view name, std::size_t count, std::string_view description) override;
  void begin_item(std::string_view name, std::size_t index) override;
  void end_item() override;
  void end_list() override;

 private:
  YAML::Emitter& out_;
};

/// Writes a Markdown table a group: key, type and range, default, meaning.
class ReferenceWriter final : public ParameterVisitor {
 public:
  void boolean(std::string_view name, bool& value, std::string_view description) override;
  void integer(std::string_view name, u64& value, Range range, std::string_view unit,
               std::string_view description) override;
  void text(std::string_view name, std::string& value, std::string_view description) override;
  void path(std::string_view name, std::string& value, std::string_view description) override;
  void choice(std::string_view name, std::string& value, std::span<const std::string_view> allowed,
              std::string_view description) override;
  void list(std::string_view name, std::vector<std::string>& value, std::string_view description) override;
  void paths(std::string_view name, std::vector<std::string>& value, std::string_view description) override;
  void begin_group(std::string_view name, std::string_view description) override;
  void end_group() override;
  /// One item, whose keys are described once.
  std::size_t begin_list(std::string_view name, std::size_t count, std::string_view description) override;
  void end_list() override { end_group(); }

  /// The document so far.
  const std::string& markdown() const { return markdown_; }

 private:
  void row(std::string_view name, const std::string& type, const std::string& value, std::string_view description);

  std::string markdown_;
  std::vector<std::string> prefixes_{""};
  bool table_open_ = false;
};

}  // namespace bunshin
