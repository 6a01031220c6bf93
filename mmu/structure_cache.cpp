#include "mmu/structure_cache.h"

namespace bunshin {

namespace {

constexpr std::array<std::string_view, 2> kinds{"translation", "entry"};

}  // namespace

void StructureCacheParameters::describe(ParameterVisitor& v) {
  v.choice(
      "kind", kind, kinds,
      "`translation` (Intel): looked up by address, a walk begins below the deepest entry found. `entry` (AMD): looked "
      "up by the physical address of the entry, a hit saves the reference but not the step.");
  v.integer("pml5", pml5, {0, 1024}, "", "Kind `translation`: entries of the fifth level.");
  v.integer("pml4", pml4, {0, 1024}, "", "… of the fourth level.");
  v.integer("pdpt", pdpt, {0, 1024}, "", "… page-directory-pointer entries.");
  v.integer("pd", pd, {0, 1024}, "", "… page-directory entries.");
  v.integer("entries", entries, {0, 4096}, "", "Kind `entry`: entries of all levels together.");
  v.integer("latency", latency, {0, 1000}, "cycles",
            "Kind `entry`: of a step whose entry is found; an estimate. A walk that begins lower pays nothing for it.");
}

StructureCache::StructureCache(const StructureCacheParameters& parameters)
    : by_translation_(parameters.kind != "entry"), entries_(by_translation_ ? 0 : parameters.entries) {
  if (!by_translation_) return;
  arrays_[5].entries.resize(parameters.pml5);
  arrays_[4].entries.resize(parameters.pml4);
  arrays_[3].entries.resize(parameters.pdpt);
  arrays_[2].entries.resize(parameters.pd);
}

const StructureCache::Entry* StructureCache::find(unsigned level, u64 address, unsigned shift, u64 space) {
  Array& array = arrays_[level];
  for (Entry& e : array.entries) {
    if (e.tag != address >> shift || e.space != space) continue;
    e.last_use = ++clock_;
    ++array.hits;
    return &e;
  }
  return nullptr;
}

void StructureCache::insert(unsigned level, u64 address, unsigned shift, u64 space, u64 table, u64 permits) {
  std::vector<Entry>& entries = arrays_[level].entries;
  if (entries.empty()) return;
  Entry* victim = &entries.front();
  for (Entry& e : entries) {
    if (e.tag == address >> shift && e.space == space) {
      victim = &e;
      break;
    }
    if (e.last_use < victim->last_use) victim = &e;
  }
  *victim = {address >> shift, space, table, ++clock_, permits};
}

void StructureCache::flush() {
  entries_.flush();
  for (Array& array : arrays_) {
    for (Entry& e : array.entries) e = {};
  }
}

void StructureCache::flush_space(u64 space) {
  flush_if([space](const Entry& e) { return e.space == space; });
}

void StructureCache::flush_guest(u32 tag) {
  flush_if([tag](const Entry& e) { return e.space >> 12 == tag; });
}

/// Entries by address belong to nobody.
template <class Concerns>
void StructureCache::flush_if(Concerns concerns) {
  entries_.flush();
  for (Array& array : arrays_) {
    for (Entry& e : array.entries) {
      if (concerns(e)) e = {};
    }
  }
}

void StructureCache::hash(StateHash& hash) const {
  entries_.hash(hash);
  for (const Array& array : arrays_) {
    for (const Entry& e : array.entries) {
      for (const u64 v : {e.tag, e.space, e.table, e.last_use, e.permits}) hash.add(v);
    }
  }
}

void StructureCache::register_statistics(StatRegistry& registry, const std::string& prefix) const {
  for (unsigned level = 2; level <= 5; ++level) {
    registry.add(prefix + "hits." + std::to_string(level), hits(level), by_translation_ ? "walks" : "references",
                 by_translation_ ? "that began below a cached paging-structure entry of this level"
                                 : "to paging-structure entries of this level that the cache saved");
  }
  registry.add(prefix + "misses", misses_, "walks",
               "that began at the root although paging-structure caches were asked");
}

}  // namespace bunshin
