// The hardware walker alone: page tables as x86 has them, in one dimension or two.

#include "mmu/scheme.h"

namespace bunshin {

namespace {

class RadixParameters final : public SchemeParameters {
 public:
  void describe(ParameterVisitor&) override {}
  std::unique_ptr<TranslationScheme> make(const SchemeEnvironment&) const override { return nullptr; }
  std::unique_ptr<SchemeParameters> clone() const override { return std::make_unique<RadixParameters>(*this); }
};

}  // namespace

extern const SchemeType radix_scheme;
const SchemeType radix_scheme{
    "radix", "The hardware walker. Its caches are the groups `structure_caches` and `second_stage`.",
    []() -> std::unique_ptr<SchemeParameters> { return std::make_unique<RadixParameters>(); }};

}  // namespace bunshin
