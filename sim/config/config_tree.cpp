#include "sim/config/config_tree.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

namespace bunshin {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t max_file_bytes = 4u << 20;
/// Limits against include and alias bombs; real configurations stay far below.
constexpr unsigned max_files = 1000;
constexpr unsigned max_nodes = 100'000;
constexpr unsigned max_depth = 64;

/// One file's YAML nodes, turned into ours.
class TreeBuilder {
 public:
  TreeBuilder(std::string name, fs::path directory) : name_(std::move(name)), directory_(std::move(directory)) {}

  ConfigNode build(const std::string& text) {
    try {
      return convert(YAML::Load(text), 0);
    } catch (const YAML::Exception& e) {
      throw ConfigError(fmt::format("{}: not valid YAML: {}", position(e.mark).text(), e.msg));
    }
  }

 private:
  Position position(const YAML::Mark& mark) const {
    if (mark.is_null()) return {name_, 1, 1, directory_};
    return {name_, static_cast<unsigned>(mark.line) + 1, static_cast<unsigned>(mark.column) + 1, directory_};
  }

  ConfigNode convert(const YAML::Node& yaml, unsigned depth) {
    ConfigNode node;
    node.position = position(yaml.Mark());
    if (++nodes_ > max_nodes || depth > max_depth) {
      throw ConfigError(node.position.text() + ": too many or too deeply nested values");
    }
    switch (yaml.Type()) {
      case YAML::NodeType::Undefined:
      case YAML::NodeType::Null: break;
      case YAML::NodeType::Scalar:
        node.kind = ConfigNode::Kind::Scalar;
        node.scalar = yaml.Scalar();
        break;
      case YAML::NodeType::Sequence:
        node.kind = ConfigNode::Kind::Sequence;
        for (const auto& item : yaml) node.items.push_back(convert(item, depth + 1));
        break;
      case YAML::NodeType::Map:
        node.kind = ConfigNode::Kind::Map;
        for (const auto& member : yaml) add_member(node, member.first, member.second, depth);
        break;
    }
    return node;
  }

  void add_member(ConfigNode& map, const YAML::Node& key, const YAML::Node& value, unsigned depth) {
    const Position where = position(key.Mark());
    if (!key.IsScalar()) throw ConfigError(where.text() + ": a key must be a plain word");
    if (map.find(key.Scalar()) != nullptr) {
      throw ConfigError(fmt::format("{}: the key '{}' appears twice", where.text(), key.Scalar()));
    }
    ConfigNode child = convert(value, depth + 1);
    if (child.kind != ConfigNode::Kind::Scalar) child.position = where;
    map.members.push_back({key.Scalar(), std::move(child)});
  }

  std::string name_;
  fs::path directory_;
  unsigned nodes_ = 0;
};

void merge(ConfigNode& base, ConfigNode&& over) {
  for (auto& [key, value] : over.members) {
    ConfigNode* existing = base.find(key);
    if (existing == nullptr) {
      base.members.push_back({key, std::move(value)});
    } else if (existing->kind == ConfigNode::Kind::Map && value.kind == ConfigNode::Kind::Map) {
      merge(*existing, std::move(value));
    } else {
      *existing = std::move(value);
    }
  }
}

std::string read_text(const fs::path& file, const std::string& named_by) {
  const auto fail = [&](std::string_view what) {
    throw ConfigError(fmt::format("{}{}: {}", named_by.empty() ? "" : named_by + ": include: ", file.string(), what));
  };
  std::error_code ignored;
  if (fs::is_directory(file, ignored)) fail("is a directory, not a configuration file");
  std::ifstream in(file, std::ios::binary);
  if (!in) fail("cannot be read: no such file, or no permission");
  std::string text(max_file_bytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > max_file_bytes) fail("is larger than 4 MiB: not a configuration file");
  return text;
}

class Includer {
 public:
  /// `further` fragments are merged behind those that the file names.
  ConfigNode load(const fs::path& file, const std::string& named_by, const std::vector<fs::path>& further = {}) {
    std::error_code error;
    fs::path identity = fs::weakly_canonical(file, error);
    if (error) identity = file;
    check_cycle(identity, named_by);
    if (++files_ > max_files) throw ConfigError(fmt::format("{}: more than {} included files", named_by, max_files));
    open_.push_back(identity);
    ConfigNode own = TreeBuilder(file.string(), file.parent_path()).build(read_text(file, named_by));
    if (own.kind == ConfigNode::Kind::Null) own.kind = ConfigNode::Kind::Map;
    if (own.kind != ConfigNode::Kind::Map) {
      throw ConfigError(
          fmt::format("{}: a configuration is a group of keys, this is {}", own.position.text(), own.kind_name()));
    }
    ConfigNode result = load_includes(own);
    for (const fs::path& fragment : further) merge(result, load(fragment, "--set include=" + fragment.string()));
    std::erase_if(own.members, [](const auto& member) { return member.key == "include"; });
    merge(result, std::move(own));
    open_.pop_back();
    return result;
  }

 private:
  ConfigNode load_includes(const ConfigNode& own) {
    ConfigNode result;
    result.kind = ConfigNode::Kind::Map;
    result.position = own.position;
    const ConfigNode* include = own.find("include");
    if (include == nullptr || include->kind == ConfigNode::Kind::Null) return result;
    std::vector<ConfigNode> single;
    if (include->kind == ConfigNode::Kind::Scalar) single.push_back(*include);
    for (const ConfigNode& name : single.empty() ? include->items : single) {
      if (name.kind != ConfigNode::Kind::Scalar) {
        throw ConfigError(
            fmt::format("{}: include: expected a file name, found {}", name.position.text(), name.kind_name()));
      }
      merge(result, load((name.position.directory / name.scalar).lexically_normal(), name.position.text()));
    }
    if (include->kind == ConfigNode::Kind::Map) {
      throw ConfigError(include->position.text() + ": include: expected a file name or a list of them");
    }
    return result;
  }

  void check_cycle(const fs::path& identity, const std::string& named_by) const {
    const auto first = std::find(open_.begin(), open_.end(), identity);
    if (first == open_.end()) return;
    std::string chain;
    for (auto i = first; i != open_.end(); ++i) chain += i->filename().string() + " → ";
    throw ConfigError(fmt::format("{}: include: cycle: {}{}", named_by, chain, identity.filename().string()));
  }

  std::vector<fs::path> open_;
  unsigned files_ = 0;
};

}  // namespace

std::string Position::text() const { return fmt::format("{}:{}:{}", file, line, column); }

const ConfigNode* ConfigNode::find(std::string_view key) const {
  const auto found = std::find_if(members.begin(), members.end(), [&](const auto& m) { return m.key == key; });
  return found == members.end() ? nullptr : &found->node;
}

ConfigNode* ConfigNode::find(std::string_view key) {
  const auto found = std::find_if(members.begin(), members.end(), [&](const auto& m) { return m.key == key; });
  return found == members.end() ? nullptr : &found->node;
}

std::string_view ConfigNode::kind_name() const {
  switch (kind) {
    case Kind::Null: return "nothing";
    case Kind::Scalar: return "a single value";
    case Kind::Sequence: return "a list";
    case Kind::Map: return "a group of keys";
  }
  return "";
}

ConfigNode load_config_tree(const fs::path& file, const std::vector<fs::path>& further) {
  return Includer().load(file, "", further);
}

ConfigNode parse_config_tree(const std::string& text, const std::string& name, const fs::path& directory) {
  ConfigNode node = TreeBuilder(name, directory).build(text);
  if (node.kind == ConfigNode::Kind::Null) node.kind = ConfigNode::Kind::Map;
  return node;
}

namespace {

/// A list written as a scalar has commas between its items.
void append_to(ConfigNode& list, ConfigNode&& item) {
  if (list.kind == ConfigNode::Kind::Scalar) {
    list.scalar += ',';
    for (const char c : item.scalar) list.scalar.append(c == ',' ? 2 : 1, c);
    return;
  }
  list.kind = ConfigNode::Kind::Sequence;
  list.position = item.position;
  list.items.push_back(std::move(item));
}

}  // namespace

void apply_override(ConfigNode& root, const std::string& assignment) {
  const std::size_t equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw ConfigError(fmt::format("--set {}: expected KEY=VALUE, for example machine.cores=2", assignment));
  }
  constexpr std::size_t most_shown = 120;
  const bool long_one = assignment.size() > most_shown;
  Position where{"--set " + assignment.substr(0, most_shown) + (long_one ? "…" : ""), 1, 1, fs::path()};
  const std::string value = assignment.substr(equals + 1);
  ConfigNode leaf;
  if (!value.empty() && value.front() == '[') {
    leaf = parse_config_tree(value, where.file, where.directory);
  } else {
    leaf.kind = ConfigNode::Kind::Scalar;
    leaf.scalar = value;
  }
  leaf.position = where;
  leaf.position.column = static_cast<unsigned>(equals) + 2;

  const bool append = assignment[equals - 1] == '+';
  ConfigNode* group = &root;
  std::istringstream parts(assignment.substr(0, append ? equals - 1 : equals));
  std::vector<std::string> keys;
  for (std::string key; std::getline(parts, key, '.');) keys.push_back(key);
  if (keys.empty() || assignment[equals - 1] == '.' || std::ranges::count(keys, std::string()) != 0) {
    throw ConfigError(fmt::format("--set {}: the key has an empty part", assignment));
  }
  for (std::size_t i = 0; i < keys.size(); ++i) {
    ConfigNode* next = group->find(keys[i]);
    if (next == nullptr) {
      group->members.push_back({keys[i], ConfigNode{}});
      next = &group->members.back().node;
      next->position = where;
    }
    if (i + 1 < keys.size() && next->kind != ConfigNode::Kind::Map) {
      *next = ConfigNode{};
      next->kind = ConfigNode::Kind::Map;
      next->position = where;
    }
    group = next;
  }
  if (append) {
    append_to(*group, std::move(leaf));
  } else {
    *group = std::move(leaf);
  }
}

}  // namespace bunshin
