// A part-of-memory TLB (Ryoo et al., "Rethinking TLB Designs in Virtualized Environments: A Very Large Part-of-Memory TLB",
// ISCA 2017): a TLB of many megabytes in DRAM. A set of four entries is one line of 64 bytes, so that a look-up is one
// reference, which the data caches may serve. It is asked after the TLBs and before the page walk. There is one array for
// 4 KiB pages and one for 2 MiB pages; a predictor says which to ask first.
//
// A PCID means something to its own logical processor only (SDM vol. 3, 4.10.1), so each core has a part of its own.

#include <array>
#include <bit>
#include <map>

#include "mmu/scheme.h"

namespace bunshin {

namespace {

constexpr unsigned set_ways = 4;
constexpr u64 set_bytes = 64;

class PomParameters final : public SchemeParameters {
 public:
  u64 small_size = u64{8} << 20, large_size = u64{8} << 20;
  u64 base = u64{1} << 41;
  u64 predictor = 512;

  void describe(ParameterVisitor& v) override {
    v.integer("small_size", small_size, {0, u64{1} << 30}, "bytes",
              "For 4 KiB pages: 16 bytes an entry, 64 a set; 0 or a power of two. 16 MiB in all as in the paper; the "
              "split is "
              "an estimate.");
    v.integer("large_size", large_size, {0, u64{1} << 30}, "bytes", "For 2 MiB pages.");
    v.integer("base", base, {u64{1} << 41, u64{1} << 51}, "",
              "Physical address of the first core's, beyond all RAM; each core's follows the one before.");
    v.integer(
        "predictor", predictor, {0, 1 << 20}, "",
        "Entries of the page-size predictor, a power of two (512 in the paper); 0: 4 KiB pages are looked for first.");
  }
  std::optional<Problem> problem() const override {
    const auto bad = [](u64 size, u64 least) { return size != 0 && (size < least || !std::has_single_bit(size)); };
    if (bad(small_size, set_bytes)) return Problem{"small_size", "must be 0 or a power of two, at least 64"};
    if (bad(large_size, set_bytes)) return Problem{"large_size", "must be 0 or a power of two, at least 64"};
    if (bad(predictor, 1)) return Problem{"predictor", "must be 0 or a power of two"};
    if (base % set_bytes != 0) return Problem{"base", "must be a multiple of 64"};
    return std::nullopt;
  }
  std::unique_ptr<TranslationScheme> make(const SchemeEnvironment& environment) const override;
  std::unique_ptr<SchemeParameters> clone() const override { return std::make_unique<PomParameters>(*this); }
};

class PomScheme final : public TranslationScheme {
 public:
  PomScheme(const PomParameters& parameters, const SchemeEnvironment& environment);

  WalkResult miss(Linear address, const Access& access) override;

  // Flushes cost nothing: what is older than the flush that concerns it is gone.
  void flush_all() override { floors().globals = floors().others = ++clock_; }
  void flush_non_global() override { floors().others = ++clock_; }
  void flush_pcid(u16 pcid) override { floors().by_pcid[pcid] = ++clock_; }
  void flush_guest(u32 tag) override { floors_[tag].globals = floors_[tag].others = ++clock_; }
  void flush_everything() override {
    floors_.clear();
    floor_ = ++clock_;
  }
  void flush_page(Linear address, u16 pcid, bool globals_too) override;

  void register_statistics(StatRegistry& registry, const std::string& prefix) const override;
  void hash(StateHash& hash) const override;

 private:
  struct Entry {
    u64 stamp = 0;  ///< when it came; 0: invalid
    u64 last_use = 0;
    u64 page = 0;  ///< linear address >> the array's shift
    u32 guest = 0;
    u16 pcid = 0;
    Translation translation;
  };
  /// Of one guest: entries with a stamp up to these are gone.
  struct Floors {
    u64 globals = 0, others = 0;
    std::map<u16, u64> by_pcid;
  };
  /// One page size's sets.
  struct Array {
    unsigned shift = page_shift;
    u64 base = 0;
    u64 set_mask = 0;
    std::vector<Entry> entries;
    u64 hits = 0, misses = 0;
  };

  u64 set_of(const Array& array, Linear address) const {
    // As in the paper, the guest's number spreads guests over the sets.
    return ((address.value >> array.shift) ^ environment_.context.guest_tag) & array.set_mask;
  }
  Floors& floors() { return floors_[environment_.context.guest_tag]; }
  bool valid(const Entry& e) const;
  /// Valid, and of this page of the current guest.
  bool is(const Entry& e, const Array& array, Linear address) const {
    return e.stamp != 0 && e.page == address.value >> array.shift && e.guest == environment_.context.guest_tag &&
           valid(e);
  }
  void touch(const Array& array, u64 set, bool write) const;
  Entry* look(Array& array, Linear address);
  Entry* find(Linear address);
  void keep(Linear address, const Translation& translation);
  u8& prediction(Linear address) { return predictor_[(address.value >> page_shift) & (predictor_.size() - 1)]; }

  const SchemeEnvironment environment_;
  std::array<Array, 2> arrays_;  ///< 4 KiB pages, 2 MiB pages
  std::vector<u8> predictor_;    ///< which array had the page last
  std::map<u32, Floors> floors_;
  u64 floor_ = 0;  ///< of everybody
  u64 clock_ = 0;
  u64 predicted_ = 0;
};

PomScheme::PomScheme(const PomParameters& parameters, const SchemeEnvironment& environment)
    : environment_(environment), predictor_(parameters.predictor) {
  const u64 size = parameters.small_size + parameters.large_size;
  u64 base = parameters.base + environment.core * size;
  const std::array<u64, 2> sizes{parameters.small_size, parameters.large_size};
  for (unsigned i = 0; i < arrays_.size(); ++i) {
    const u64 sets = sizes[i] / set_bytes;
    arrays_[i].shift = i == 0 ? page_shift : 21;
    arrays_[i].base = base;
    arrays_[i].set_mask = sets == 0 ? 0 : sets - 1;
    arrays_[i].entries.resize(sets * set_ways);
    base += sizes[i];
  }
}

/// The whole set is one line.
void PomScheme::touch(const Array& array, u64 set, bool write) const {
  WalkObserver* observer = environment_.walker.observer();
  if (observer == nullptr) return;
  WalkReference line;
  line.address = HostPhysical(array.base + set * set_bytes);
  line.update = write;
  line.bytes = set_bytes;
  observer->reference(line);
}

bool PomScheme::valid(const Entry& e) const {
  if (e.stamp <= floor_) return false;
  const auto found = floors_.find(e.guest);
  if (found == floors_.end()) return true;
  const Floors& f = found->second;
  if (e.translation.global) return e.stamp > f.globals;
  const auto pcid = f.by_pcid.find(e.pcid);
  return e.stamp > f.others && (pcid == f.by_pcid.end() || e.stamp > pcid->second);
}

PomScheme::Entry* PomScheme::look(Array& array, Linear address) {
  if (array.entries.empty()) return nullptr;
  const u64 set = set_of(array, address);
  touch(array, set, false);
  for (u64 i = set * set_ways; i < (set + 1) * set_ways; ++i) {
    Entry& e = array.entries[i];
    if (!is(e, array, address) || !(e.translation.global || e.pcid == environment_.context.pcid)) continue;
    e.last_use = ++clock_;
    ++array.hits;
    return &e;
  }
  ++array.misses;
  return nullptr;
}

PomScheme::Entry* PomScheme::find(Linear address) {
  const unsigned first = predictor_.empty() ? 0 : prediction(address);
  for (const unsigned i : {first, 1 - first}) {
    Entry* e = look(arrays_[i], address);
    if (e == nullptr) continue;
    if (i == first) ++predicted_;
    if (!predictor_.empty()) prediction(address) = static_cast<u8>(i);
    return e;
  }
  return nullptr;
}

void PomScheme::keep(Linear address, const Translation& translation) {
  if (translation.shift != page_shift && translation.shift != 21) return;
  const unsigned which = translation.shift == page_shift ? 0 : 1;
  Array& array = arrays_[which];
  if (!predictor_.empty()) prediction(address) = static_cast<u8>(which);
  if (array.entries.empty()) return;
  const u64 set = set_of(array, address);
  Entry* victim = &array.entries[set * set_ways];
  for (u64 i = set * set_ways; i < (set + 1) * set_ways; ++i) {
    Entry& e = array.entries[i];
    if (!valid(e)) {
      victim = &e;
      break;
    }
    if (e.last_use < victim->last_use) victim = &e;
  }
  const PagingContext& c = environment_.context;
  ++clock_;
  *victim = {clock_, clock_, address.value >> array.shift, c.guest_tag, c.pcid, translation};
  touch(array, set, true);
}

WalkResult PomScheme::miss(Linear address, const Access& access) {
  if (Entry* e = find(address)) {
    const Translation& t = e->translation;
    const AccessKinds permitted = permitted_kinds(t.rights, access, environment_.context) & t.stage_kinds;
    const bool sufficient = (permitted & kind_bit(access.kind)) != 0 && (access.kind != AccessKind::Write || t.dirty);
    if (sufficient) return {WalkOutcome::Translated, 0, t};
    // What it says may be out of date; only the tables can refuse, and only a walk sets D.
    e->stamp = 0;
  }
  const WalkResult result = environment_.walker.walk(address, access);
  if (result.outcome == WalkOutcome::Translated) keep(address, result.translation);
  return result;
}

void PomScheme::flush_page(Linear address, u16 pcid, bool globals_too) {
  for (Array& array : arrays_) {
    if (array.entries.empty()) continue;
    const u64 set = set_of(array, address);
    for (u64 i = set * set_ways; i < (set + 1) * set_ways; ++i) {
      Entry& e = array.entries[i];
      if (is(e, array, address) && (e.translation.global ? globals_too : e.pcid == pcid)) e.stamp = 0;
    }
  }
}

void PomScheme::register_statistics(StatRegistry& registry, const std::string& prefix) const {
  const std::array<std::string, 2> names{"small", "large"};
  for (unsigned i = 0; i < arrays_.size(); ++i) {
    registry.add(prefix + names[i] + ".hits", arrays_[i].hits, "", "TLB misses whose translation was found there");
    registry.add(prefix + names[i] + ".misses", arrays_[i].misses, "", "look-ups that found nothing");
  }
  registry.add(prefix + "first_try", predicted_, "", "hits in the array that was asked first");
}

void PomScheme::hash(StateHash& hash) const {
  for (const Array& array : arrays_) {
    for (u64 i = 0; i < array.entries.size(); ++i) {
      const Entry& e = array.entries[i];
      if (!valid(e)) continue;
      for (const u64 v : {i, e.page, u64{e.guest} << 16 | e.pcid, e.last_use, e.translation.page.value}) hash.add(v);
    }
  }
}

std::unique_ptr<TranslationScheme> PomParameters::make(const SchemeEnvironment& environment) const {
  return std::make_unique<PomScheme>(*this, environment);
}

}  // namespace

extern const SchemeType pom_scheme;
const SchemeType pom_scheme{"pom", "A part-of-memory TLB (Ryoo et al., ISCA 2017) between the TLBs and the page walk.",
                            []() -> std::unique_ptr<SchemeParameters> { return std::make_unique<PomParameters>(); }};

}  // namespace bunshin
