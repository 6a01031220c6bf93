#pragma once

// A configuration as it was written: the merged tree of all YAML fragments and command-line overrides, in which every
// node remembers where it came from, so that an error can point there.

#include <filesystem>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bunshin {

/// A mistake of the user's in a configuration or on the command line; the command ends with exit status 2.
class ConfigError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Where a key or value was written. `line` and `column` count from 1; a `--set` override is line 1 of its own text.
struct Position {
  std::string file;
  unsigned line = 0;
  unsigned column = 0;
  /// Relative file names are relative to this directory.
  std::filesystem::path directory;

  /// "file:line:column"
  std::string text() const;
};

struct ConfigMember;

struct ConfigNode {
  enum class Kind { Null, Scalar, Sequence, Map };

  Kind kind = Kind::Null;
  Position position;
  std::string scalar;
  std::vector<ConfigNode> items;
  std::vector<ConfigMember> members;

  const ConfigNode* find(std::string_view key) const;
  ConfigNode* find(std::string_view key);
  /// "a list", "a group of keys" …: for messages.
  std::string_view kind_name() const;
};

struct ConfigMember {
  std::string key;
  ConfigNode node;
};

/// Reads `file` and everything it includes: the fragments named by the top-level key `include` (relative to the file
/// that names them) are merged in order, later ones over earlier ones, and the file's own keys over all of them. Groups
/// merge key by key, scalars and lists are replaced.
/// `further` fragments count as if the file's own list of includes ended with them.
/// Throws ConfigError: unreadable file, bad YAML, duplicate key, include cycle.
ConfigNode load_config_tree(const std::filesystem::path& file, const std::vector<std::filesystem::path>& further = {});

/// The same for YAML text that is in memory; `name` stands for the file in messages.
ConfigNode parse_config_tree(const std::string& text, const std::string& name, const std::filesystem::path& directory);

/// Applies "dotted.key=value" (as `--set` takes it) over the tree. A value that begins with '[' is a YAML flow list.
/// Throws ConfigError if the text has no '=' or an empty key part.
void apply_override(ConfigNode& root, const std::string& assignment);

}  // namespace bunshin
