#include "sim/config/config_reader.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "sim/config/units.h"

namespace bunshin {

namespace {

std::vector<std::string> split_commas(const std::string& text) {
  std::vector<std::string> items;
  if (text.empty()) return items;
  items.emplace_back();
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != ',') {
      items.back() += text[i];
    } else if (i + 1 < text.size() && text[i + 1] == ',') {
      items.back() += text[i++];
    } else {
      items.emplace_back();
    }
  }
  return items;
}

}  // namespace

std::string resolve_path(const std::string& name, const Position& where) {
  if (name.empty()) return name;
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(where.directory / name, error);
  return error ? name : absolute.string();
}

ConfigReader::ConfigReader(const ConfigNode& root) : root_(root) { groups_.push_back({"", &root}); }

const ConfigNode* ConfigReader::take(std::string_view name) {
  const std::string key = dotted(name);
  known_[key] = false;
  const Group& group = groups_.back();
  const ConfigNode* node = group.node == nullptr ? nullptr : group.node->find(name);
  if (node == nullptr || node->kind == ConfigNode::Kind::Null) return nullptr;
  positions_[key] = node->position;
  return node;
}

const ConfigNode* ConfigReader::take_scalar(std::string_view name) {
  const ConfigNode* node = take(name);
  if (node != nullptr && node->kind != ConfigNode::Kind::Scalar) {
    throw error(dotted(name), fmt::format("expected a single value, found {}", node->kind_name()));
  }
  return node;
}

void ConfigReader::boolean(std::string_view name, bool& value, std::string_view) {
  const ConfigNode* node = take_scalar(name);
  if (node == nullptr) return;
  if (node->scalar == "true" || node->scalar == "yes" || node->scalar == "on") {
    value = true;
  } else if (node->scalar == "false" || node->scalar == "no" || node->scalar == "off") {
    value = false;
  } else {
    throw error(dotted(name), fmt::format("expected true or false, found '{}'", node->scalar));
  }
}

void ConfigReader::integer(std::string_view name, u64& value, Range range, std::string_view unit, std::string_view) {
  const ConfigNode* node = take_scalar(name);
  if (node == nullptr) return;
  const std::optional<u64> number = parse_quantity(node->scalar, unit);
  if (!number) {
    const std::string example = unit == "bytes" ? " (for example 512MiB)" : unit == "Hz" ? " (for example 2GHz)" : "";
    throw error(dotted(name), fmt::format("expected a whole number{}{}{}, found '{}'", unit.empty() ? "" : " of ", unit,
                                          example, node->scalar));
  }
  if (*number < range.min || *number > range.max) {
    const auto with_unit = [&](u64 bound) {
      const std::string text = format_quantity(bound, unit);
      const bool has_one = text.find_first_not_of("0123456789") != std::string::npos;
      return has_one || unit.empty() ? text : fmt::format("{} {}", text, unit);
    };
    throw error(dotted(name),
                fmt::format("{} is out of range: {} to {}", node->scalar, with_unit(range.min), with_unit(range.max)));
  }
  value = *number;
}

void ConfigReader::text(std::string_view name, std::string& value, std::string_view) {
  if (const ConfigNode* node = take_scalar(name)) value = node->scalar;
}

void ConfigReader::path(std::string_view name, std::string& value, std::string_view) {
  if (const ConfigNode* node = take_scalar(name)) value = resolve_path(node->scalar, node->position);
}

void ConfigReader::choice(std::string_view name, std::string& value, std::span<const std::string_view> allowed,
                          std::string_view) {
  const ConfigNode* node = take_scalar(name);
  if (node == nullptr) return;
  if (std::ranges::find(allowed, node->scalar) == allowed.end()) {
    throw error(dotted(name), fmt::format("'{}' is not one of {}", node->scalar, fmt::join(allowed, ", ")));
  }
  value = node->scalar;
}

void ConfigReader::list(std::string_view name, std::vector<std::string>& value, std::string_view) {
  const ConfigNode* node = take(name);
  if (node == nullptr) return;
  if (node->kind == ConfigNode::Kind::Map) throw error(dotted(name), "expected a list, found a group of keys");
  value.clear();
  if (node->kind == ConfigNode::Kind::Scalar) {
    value = split_commas(node->scalar);
    return;
  }
  for (const ConfigNode& item : node->items) {
    if (item.kind != ConfigNode::Kind::Scalar) {
      positions_[dotted(name)] = item.position;
      throw error(dotted(name), fmt::format("expected a list of single values, found {} in it", item.kind_name()));
    }
    value.push_back(item.scalar);
  }
}

void ConfigReader::paths(std::string_view name, std::vector<std::string>& value, std::string_view description) {
  const ConfigNode* node = take(name);
  if (node == nullptr) return;
  list(name, value, description);
  std::erase(value, std::string());
  for (std::string& item : value) item = resolve_path(item, node->position);
}

void ConfigReader::begin_group(std::string_view name, std::string_view) {
  const std::string key = dotted(name);
  known_[key] = true;
  const ConfigNode* parent = groups_.back().node;
  const ConfigNode* node = parent == nullptr ? nullptr : parent->find(name);
  if (node != nullptr && node->kind == ConfigNode::Kind::Null) node = nullptr;
  if (node != nullptr && node->kind != ConfigNode::Kind::Map) {
    positions_[key] = node->position;
    throw error(key, fmt::format("expected a group of keys, found {}", node->kind_name()));
  }
  groups_.push_back({key + ".", node});
}

void ConfigReader::end_group() { groups_.pop_back(); }

std::size_t ConfigReader::begin_list(std::string_view name, std::size_t count, std::string_view) {
  const ConfigNode* node = take(name);
  known_[dotted(name)] = true;
  if (node == nullptr) return count;
  // An empty value, as `--set KEY=` gives it, is an empty list.
  if (node->kind == ConfigNode::Kind::Scalar && node->scalar.empty()) return 0;
  if (node->kind != ConfigNode::Kind::Sequence) {
    throw error(dotted(name), fmt::format("expected a list of groups of keys, found {}", node->kind_name()));
  }
  return node->items.size();
}

void ConfigReader::begin_item(std::string_view name, std::size_t index) {
  const std::string key = fmt::format("{}[{}]", dotted(name), index);
  known_[key] = true;
  const ConfigNode* list = groups_.back().node == nullptr ? nullptr : groups_.back().node->find(name);
  const ConfigNode* node = list == nullptr || index >= list->items.size() ? nullptr : &list->items[index];
  if (node != nullptr) positions_[key] = node->position;
  if (node != nullptr && node->kind != ConfigNode::Kind::Map) {
    throw error(key, fmt::format("expected a group of keys, found {}", node->kind_name()));
  }
  groups_.push_back({key + ".", node});
}

void ConfigReader::finish() const { check_unknown(root_, ""); }

void ConfigReader::check_unknown(const ConfigNode& group, const std::string& prefix) const {
  for (const auto& [key, node] : group.members) {
    const std::string full = prefix + key;
    const auto known = known_.find(full);
    if (known == known_.end()) {
      throw ConfigError(
          fmt::format("{}: {}: unknown key; the nearest valid key is {}", node.position.text(), full, nearest(full)));
    }
    if (!known->second) continue;
    check_unknown(node, full + ".");
    for (std::size_t i = 0; i < node.items.size(); ++i) check_unknown(node.items[i], fmt::format("{}[{}].", full, i));
  }
}

std::string ConfigReader::nearest(const std::string& unknown) const {
  const auto last = [](const std::string& key) { return key.substr(key.rfind('.') + 1); };
  const auto parent = [](const std::string& key) { return key.substr(0, key.rfind('.') + 1); };
  std::string best;
  unsigned best_distance = ~0u;
  for (const auto& [key, is_group] : known_) {
    // The right name in the wrong group is as near as a slip of the finger in the right one.
    const unsigned elsewhere = parent(key) == parent(unknown) ? 0 : 1;
    const unsigned distance =
        std::min(2 * edit_distance(key, unknown), 2 * edit_distance(last(key), last(unknown)) + elsewhere);
    if (distance < best_distance) {
      best_distance = distance;
      best = key;
    }
  }
  return best;
}

ConfigError ConfigReader::error(const std::string& dotted_key, const std::string& what) const {
  return ConfigError(fmt::format("{}: {}: {}", position_of(dotted_key).text(), dotted_key, what));
}

const Position& ConfigReader::position_of(const std::string& dotted_key) const {
  if (const auto exact = positions_.find(dotted_key); exact != positions_.end()) return exact->second;
  const Position* near = written_in(dotted_key + ".");
  if (const auto dot = dotted_key.rfind('.'); near == nullptr && dot != std::string::npos) {
    near = written_in(dotted_key.substr(0, dot + 1));
  }
  return near != nullptr ? *near : root_.position;
}

const Position* ConfigReader::written_in(const std::string& prefix) const {
  const Position* found = nullptr;
  for (auto i = positions_.lower_bound(prefix); i != positions_.end() && i->first.starts_with(prefix); ++i) {
    // What the user's own file says is more likely to be the mistake than a fragment that it includes.
    if (found == nullptr || (found->file != root_.position.file && i->second.file == root_.position.file)) {
      found = &i->second;
    }
  }
  return found;
}

}  // namespace bunshin
