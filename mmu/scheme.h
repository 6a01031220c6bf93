#pragma once

// A translation scheme: what happens when the TLB lacks a translation. A scheme is one file, mmu/schemes/NAME.cpp, that
// defines a `SchemeType` called NAME_scheme; the build finds it there and the configuration offers it by that name
// (docs/translation_schemes.md takes one apart).

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/parameters.h"
#include "base/state_hash.h"
#include "base/stats.h"
#include "mmu/walker.h"

namespace bunshin {

/// What a scheme has to work with; outlives it.
struct SchemeEnvironment {
  /// The hardware walker: one dimension, or two under a second stage. Walks permissions and A and D included. Its observer, if
  /// there is one, is told of every reference and of fixed cycles; a scheme tells it of its own. There is one only where
  /// time is modeled or references are traced.
  Walker& walker;
  /// CR3, PCID, the guest's tag and the rest, as they are at the time of each call.
  const PagingContext& context;
  unsigned core = 0;
};

class TranslationScheme {
 public:
  TranslationScheme() = default;
  TranslationScheme(const TranslationScheme&) = delete;
  TranslationScheme& operator=(const TranslationScheme&) = delete;
  virtual ~TranslationScheme() = default;

  /// The TLB has no entry for `address`, or none that permits the access, or a write has to set D. What it answers is
  /// checked no further: a fault must be what the tables say, and A and D be set as the architecture wants them. On
  /// success the translation goes to the TLB.
  virtual WalkResult miss(Linear address, const Access& access) = 0;

  /// Whether walks by the environment's walker may begin in the paging-structure caches.
  virtual bool uses_structure_caches() const { return true; }

  /// The invalidations that software asks for (SDM vol. 3, 4.10.4.1; of the current guest tag). A scheme that keeps translations
  /// must forget at least these.
  virtual void flush_all() {}         ///< all PCIDs, global entries included
  virtual void flush_non_global() {}  ///< all PCIDs
  virtual void flush_pcid(u16) {}     ///< non-global ones of one PCID
  virtual void flush_guest(u32) {}    ///< everything with this guest tag (INVVPID, INVEPT, TLB_CONTROL)
  virtual void flush_everything() {}  ///< of all guests and the host
  /// One page, of one PCID, and global ones if asked to: INVLPG, INVPCID.
  virtual void flush_page(Linear, u16, bool /*globals_too*/) {}

  /// The scheme's own model-specific registers, by number. False: there is none of that number, or it refuses the value.
  virtual bool read_register(u32 /*msr*/, u64& /*value*/) const { return false; }
  virtual bool write_register(u32 /*msr*/, u64 /*value*/) { return false; }
  /// Whether a hypervisor can fill the TLB for its guests (mmu/software_fill.h).
  virtual bool fills_by_hypervisor() const { return false; }

  /// Names begin with `prefix`.
  virtual void register_statistics(StatRegistry&, const std::string& /*prefix*/) const {}
  /// Adds what decides later translations and times.
  virtual void hash(StateHash&) const {}
};

/// A scheme's parameters, with their defaults.
class SchemeParameters {
 public:
  virtual ~SchemeParameters() = default;
  virtual void describe(ParameterVisitor& v) = 0;
  struct Problem {
    std::string key;  ///< relative to the scheme's group
    std::string what;
  };
  /// What the ranges cannot say.
  virtual std::optional<Problem> problem() const { return std::nullopt; }
  /// Null: the hardware walker alone.
  virtual std::unique_ptr<TranslationScheme> make(const SchemeEnvironment& environment) const = 0;
  virtual std::unique_ptr<SchemeParameters> clone() const = 0;
};

struct SchemeType {
  std::string_view name;
  std::string_view description;
  std::unique_ptr<SchemeParameters> (*defaults)();
};

/// All there are, by name. Made by the build from the files in mmu/schemes.
std::span<const SchemeType* const> scheme_types();

/// The configuration's choice, and every scheme's parameters.
class TranslationParameters {
 public:
  TranslationParameters();
  TranslationParameters(const TranslationParameters& other);
  TranslationParameters& operator=(const TranslationParameters& other);

  std::string scheme = "radix";

  void describe(ParameterVisitor& v);
  /// Of the chosen scheme; the key begins with its name.
  std::optional<SchemeParameters::Problem> problem() const;
  const SchemeParameters& chosen() const;

 private:
  std::vector<std::unique_ptr<SchemeParameters>> parameters_;  ///< in the order of scheme_types()
};

}  // namespace bunshin
