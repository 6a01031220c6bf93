#include "mmu/tlb.h"

#include <bit>
#include <stdexcept>
#include <string>

namespace bunshin {

void TlbArrayParameters::describe(ParameterVisitor& v) {
  v.integer("entries", entries, {0, 1 << 20}, "", "Entries; 0 caches no translation of this page size");
  v.integer("ways", ways, {1, 1 << 10}, "", "Associativity; entries / ways must be a power of two");
}

std::optional<std::string> TlbArrayParameters::problem() const {
  if (entries == 0) return std::nullopt;
  const bool divides = ways != 0 && entries % ways == 0;
  if (entries <= 1 << 20 && divides && std::has_single_bit(entries / ways)) return std::nullopt;
  return std::to_string(entries) + " entries in " + std::to_string(ways) +
         " ways do not make a power-of-two number of sets (and at most 1048576 entries): change 'entries' or 'ways'";
}

void TlbParameters::describe(ParameterVisitor& v) {
  v.group("small", small, "Translations of 4 KiB pages");
  v.group("large", large, "Translations of 2 MiB and 4 MiB pages");
  v.group("giant", giant, "Translations of 1 GiB pages");
  v.choice("replacement", replacement, TlbReplacement::names,
           "Which entry of a full set goes: least recently used, one not recently used (a bit each), the oldest, any.");
  v.integer("seed", seed, {}, "", "Of replacement `random`.");
}

void TlbHierarchyParameters::describe(ParameterVisitor& v) {
  TlbParameters::describe(v);
  v.group("l1d", l1d, "First level for data; with timing only.");
  v.group("l1i", l1i, "First level for instructions; with timing only.");
  v.integer("latency", latency, {0, 1000}, "cycles",
            "Of the second level, beyond the first level's; with timing only.");
  v.integer("walkers", walkers, {1, 64}, "",
            "Page walks in flight at once; with timing only. Default: Skylake's (Intel Optimization Manual).");
  v.integer("update_cycles", update_cycles, {0, 10'000}, "cycles",
            "That a walk takes longer for each A or D that it sets, beside the store; with timing only. An estimate.");
}

Tlb::Tlb(const TlbParameters& parameters)
    : arrays_{make_array(parameters.small, page_shift, "small"), make_array(parameters.large, 21, "large"),
              make_array(parameters.giant, 30, "giant")},
      replacement_(parameters.replacement, parameters.seed) {}

Tlb::Array Tlb::make_array(const TlbArrayParameters& parameters, unsigned shift, const char* name) {
  Array array;
  array.shift = shift;
  if (parameters.entries == 0) return array;
  if (const auto problem = parameters.problem()) {
    throw std::runtime_error(std::string("TLB array '") + name + "': " + *problem);
  }
  array.ways = parameters.ways;
  array.set_mask = parameters.entries / parameters.ways - 1;
  array.pages.resize(parameters.entries);
  array.entries.resize(parameters.entries);
  return array;
}

void Tlb::set_pcid(u16 pcid) {
  pcid_ = pcid % pcids;
  derive_floor();
}

void Tlb::set_large_shift(unsigned shift) {
  Array& array = arrays_[1];
  if (array.shift == shift) return;
  array.shift = shift;
  array.used = false;
  for (TlbEntry& e : array.entries) e.stamp = 0;
}

TlbEntry* Tlb::lookup(Linear address) {
  for (Array& array : arrays_) {
    if (!array.used) continue;
    const u64 page = address.value >> array.shift;
    const u64 begin = array.set_begin(address.value);
    for (u64 i = begin; i < begin + array.ways; ++i) {
      if (array.pages[i] != page || !usable(array.entries[i])) continue;
      replacement_.hit(array.entries[i].last_use);
      ++hits_;
      ++array.hits;
      return &array.entries[i];
    }
  }
  ++misses_;
  return nullptr;
}

u64 Tlb::choose_victim(Array& array, u64 begin) {
  for (u64 i = begin; i < begin + array.ways; ++i) {
    if (!valid(array.entries[i])) return i;
  }
  return begin +
         replacement_.victim(array.ways, [&array, begin](u64 i) -> u64& { return array.entries[begin + i].last_use; });
}

const TlbEntry* Tlb::insert(TlbEntry entry, TlbEntry& victim) {
  victim.stamp = 0;
  Array& array = array_for(entry.shift);
  if (array.entries.empty()) return nullptr;
  const u64 index = choose_victim(array, array.set_begin(entry.linear));
  if (valid(array.entries[index])) victim = array.entries[index];
  entry.stamp = now_;
  replacement_.inserted(entry.last_use);
  entry.pcid = pcid_;
  entry.tag = tag_;
  ++array.insertions;
  array.used = true;
  array.pages[index] = entry.linear >> array.shift;
  array.entries[index] = entry;
  return &array.entries[index];
}

template <class Concerns>
void Tlb::remove_if(Concerns concerns) {
  for (Array& array : arrays_) {
    for (TlbEntry& e : array.entries) {
      if (concerns(e)) e.stamp = 0;
    }
  }
}

void Tlb::flush_all() {
  if (tagged_) return flush_tag(tag_);
  flush_everything();
}

void Tlb::flush_non_global() {
  if (tagged_) return remove_if([this](const TlbEntry& e) { return e.tag == tag_ && !e.global; });
  non_global_floor_ = now_++;
  derive_floor();
}

void Tlb::flush_pcid(u16 pcid) {
  if (tagged_) {
    return remove_if([this, pcid](const TlbEntry& e) { return e.tag == tag_ && !e.global && e.pcid == pcid; });
  }
  pcid_floor_[pcid % pcids] = now_++;
  derive_floor();
}

void Tlb::flush_tag(u32 tag) {
  remove_if([tag](const TlbEntry& e) { return e.tag == tag; });
}

void Tlb::flush_tag_non_global(u32 tag) {
  remove_if([tag](const TlbEntry& e) { return e.tag == tag && !e.global; });
}

void Tlb::flush_tag_page(u32 tag, Linear address) {
  for (Array& array : arrays_) {
    if (!array.used) continue;
    const u64 begin = array.set_begin(address.value);
    for (u64 i = begin; i < begin + array.ways; ++i) {
      TlbEntry& e = array.entries[i];
      if (array.pages[i] == address.value >> array.shift && e.tag == tag) e.stamp = 0;
    }
  }
}

void Tlb::flush_everything() {
  global_floor_ = non_global_floor_ = now_++;
  derive_floor();
  for (Array& array : arrays_) array.used = false;
}

Tlb::Flushed Tlb::flush_page(Linear address, u16 pcid, bool globals_too) {
  Flushed flushed;
  for (Array& array : arrays_) {
    if (!array.used) continue;
    const u64 page = address.value >> array.shift;
    const u64 begin = array.set_begin(address.value);
    for (u64 i = begin; i < begin + array.ways; ++i) {
      TlbEntry& e = array.entries[i];
      if (array.pages[i] != page || !valid(e) || e.tag != tag_) continue;
      if (e.global ? !globals_too : e.pcid != pcid) continue;
      e.stamp = 0;
      flushed.shift = array.shift;
      flushed.fetched = flushed.fetched || e.fetched;
    }
  }
  return flushed;
}

void Tlb::register_statistics(StatRegistry& registry, const std::string& prefix) const {
  const std::array<std::string, 3> names{"small", "large", "giant"};
  for (unsigned i = 0; i < arrays_.size(); ++i) {
    registry.add(prefix + names[i] + ".hits", arrays_[i].hits, "", "of look-ups that reach it");
    registry.add(prefix + names[i] + ".fills", arrays_[i].insertions, "", "misses that found a page of this size");
  }
}

void Tlb::hash(StateHash& hash) const {
  hash.add(pcid_);
  for (const Array& array : arrays_) {
    for (u64 i = 0; i < array.entries.size(); ++i) {
      const TlbEntry& e = array.entries[i];
      if (!valid(e)) continue;
      hash.add(i);
      hash.add(e.linear | e.shift);
      hash.add(e.physical);
      if (e.tag != 0) hash.add(e.tag);
      hash.add(e.last_use);
      hash.add(u64{e.pcid} | u64{e.pat_index} << 16 | u64{e.rights.protection_key} << 24 |
               u64{e.rights.writable} << 32 | u64{e.rights.user} << 33 | u64{e.rights.executable} << 34 |
               u64{e.global} << 35 | u64{e.dirty} << 36 | u64{e.fetched} << 37);
    }
  }
}

}  // namespace bunshin
