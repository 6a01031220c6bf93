#pragma once

// Fills parameters from a configuration tree through their own declarations (base/parameters.h).

#include <map>
#include <string>
#include <vector>

#include "base/parameters.h"
#include "sim/config/config_tree.h"

namespace bunshin {

/// Usage: visit every parameter, then finish(), which reports keys that nobody declared. All errors are ConfigError
/// "file:line:column: dotted.key: what is wrong".
class ConfigReader final : public ParameterVisitor {
 public:
  /// `root` must outlive the reader.
  explicit ConfigReader(const ConfigNode& root);

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
  std::size_t begin_list(std::string_view name, std::size_t count, std::string_view description) override;
  void begin_item(std::string_view name, std::size_t index) override;
  void end_item() override { groups_.pop_back(); }

  /// Throws ConfigError for the first key that no declaration named, with the nearest one that exists.
  void finish() const;

  /// An error about a key or group whose value only its meaning rules out; points at the value if the user wrote one, else at
  /// one that was written in the group, else at one beside the key.
  ConfigError error(const std::string& dotted_key, const std::string& what) const;

 private:
  struct Group {
    std::string prefix;      ///< "" or "machine."
    const ConfigNode* node;  ///< null if the configuration does not mention the group
  };
  /// The value's node, or null if it is not set; notes that the key exists.
  const ConfigNode* take(std::string_view name);
  const ConfigNode* take_scalar(std::string_view name);
  std::string dotted(std::string_view name) const { return groups_.back().prefix + std::string(name); }
  void check_unknown(const ConfigNode& group, const std::string& prefix) const;
  std::string nearest(const std::string& unknown) const;
  const Position& position_of(const std::string& dotted_key) const;
  /// A value whose key begins with `prefix`; null if nobody wrote one.
  const Position* written_in(const std::string& prefix) const;

  const ConfigNode& root_;
  std::vector<Group> groups_;
  /// Every declared key; true if it is a group, or a list of groups.
  std::map<std::string, bool> known_;
  std::map<std::string, Position> positions_;
};

/// An absolute form of a file name written at `where`; empty stays empty.
std::string resolve_path(const std::string& name, const Position& where);

}  // namespace bunshin
