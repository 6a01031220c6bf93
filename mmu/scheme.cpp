#include "mmu/scheme.h"

#include "base/check.h"

namespace bunshin {

namespace {

const std::vector<std::string_view>& scheme_names() {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> all;
    for (const SchemeType* type : scheme_types()) all.push_back(type->name);
    return all;
  }();
  return names;
}

}  // namespace

TranslationParameters::TranslationParameters() {
  for (const SchemeType* type : scheme_types()) parameters_.push_back(type->defaults());
}

TranslationParameters::TranslationParameters(const TranslationParameters& other) : scheme(other.scheme) {
  for (const auto& p : other.parameters_) parameters_.push_back(p->clone());
}

TranslationParameters& TranslationParameters::operator=(const TranslationParameters& other) {
  TranslationParameters copy(other);
  scheme = std::move(copy.scheme);
  parameters_ = std::move(copy.parameters_);
  return *this;
}

void TranslationParameters::describe(ParameterVisitor& v) {
  v.choice("scheme", scheme, scheme_names(), "What happens on a TLB miss; parameters are in the group of its name.");
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    v.begin_group(scheme_types()[i]->name, scheme_types()[i]->description);
    parameters_[i]->describe(v);
    v.end_group();
  }
}

const SchemeParameters& TranslationParameters::chosen() const {
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (scheme_types()[i]->name == scheme) return *parameters_[i];
  }
  throw SimulatorBug("no translation scheme '" + scheme + "'");
}

std::optional<SchemeParameters::Problem> TranslationParameters::problem() const {
  auto found = chosen().problem();
  if (found) found->key = scheme + "." + found->key;
  return found;
}

}  // namespace bunshin
