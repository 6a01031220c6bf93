#include "mmu/structure_cache.h"

namespace bunshin {

void StructureCacheParameters::describe(ParameterVisitor& v) {
  v.integer("pml5", pml5, {0, 1024}, "", "Entries of the fifth level.");
  v.integer("pml4", pml4, {0, 1024}, "", "Entries of the fourth level.");
  v.integer("pdpt", pdpt, {0, 1024}, "", "Page-directory-pointer entries.");
  v.integer("pd", pd, {0, 1024}, "", "Page-directory entries.");
}

StructureCache::StructureCache(const StructureCacheParameters& parameters) {
  arrays_[5].entries.resize(parameters.pml5);
  arrays_[4].entries.resize(parameters.pml4);
  arrays_[3].entries.resize(parameters.pdpt);
  arrays_[2].entries.resize(parameters.pd);
}

const StructureCache::Entry* StructureCache::find(unsigned level, u64 linear, unsigned shift, u16 pcid) {
  Array& array = arrays_[level];
  for (Entry& e : array.entries) {
    if (e.tag != linear >> shift || e.pcid != pcid) continue;
    e.last_use = ++clock_;
    ++array.hits;
    return &e;
  }
  return nullptr;
}

void StructureCache::insert(unsigned level, u64 linear, unsigned shift, u16 pcid, u64 table, const PageRights& rights) {
  std::vector<Entry>& entries = arrays_[level].entries;
  if (entries.empty()) return;
  Entry* victim = &entries.front();
  for (Entry& e : entries) {
    if (e.tag == linear >> shift && e.pcid == pcid) {
      victim = &e;
      break;
    }
    if (e.last_use < victim->last_use) victim = &e;
  }
  *victim = {linear >> shift, table, ++clock_, rights, pcid};
}

void StructureCache::flush() {
  for (Array& array : arrays_) {
    for (Entry& e : array.entries) e = {};
  }
}

void StructureCache::flush_pcid(u16 pcid) {
  for (Array& array : arrays_) {
    for (Entry& e : array.entries) {
      if (e.pcid == pcid) e = {};
    }
  }
}

void StructureCache::hash(StateHash& hash) const {
  for (const Array& array : arrays_) {
    for (const Entry& e : array.entries) {
      for (const u64 v : {e.tag, e.table, e.last_use, u64{e.pcid}}) hash.add(v);
    }
  }
}

}  // namespace bunshin
