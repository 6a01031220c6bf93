#include "mmu/mmu.h"

#include <algorithm>

namespace bunshin {

namespace {

/// Whether what the fast caches hold under `a` is right under `b`. CPL and EFLAGS.AC choose among caches instead; CR3's
/// address alone changes nothing that the TLB holds.
bool same_rights(const PagingContext& a, const PagingContext& b) {
  return a.mode == b.mode && a.pcid == b.pcid && a.write_protect == b.write_protect && a.smep == b.smep &&
         a.smap == b.smap && a.protection_keys == b.protection_keys && a.pkru == b.pkru &&
         a.no_execute == b.no_execute && a.global_pages == b.global_pages;
}

/// What an entry permits without a walk: a write needs D set.
AccessKinds ready_kinds(const TlbEntry& entry, const Access& access, const PagingContext& context) {
  const AccessKinds permitted = permitted_kinds(entry.rights, access, context);
  return entry.dirty ? permitted : static_cast<AccessKinds>(permitted & ~kind_bit(AccessKind::Write));
}

/// Fast fetches are permitted only by entries marked as fetched: see Mmu::epoch().
AccessKinds without_execute(AccessKinds kinds) {
  return static_cast<AccessKinds>(kinds & ~kind_bit(AccessKind::Execute));
}

}  // namespace

Mmu::Mmu(const TlbParameters& parameters, PhysicalMemory& memory) : memory_(memory), tlb_(parameters), walker_(memory) {
  select_fast();
}

void Mmu::set_context(const PagingContext& context) {
  const bool keep = same_rights(context_, context);
  context_ = context;
  walker_.set_context(context);
  if (!keep) {
    tlb_.set_pcid(context.pcid);
    if (context.mode != PagingMode::None) tlb_.set_large_shift(context.mode == PagingMode::TwoLevel ? 22 : 21);
    flush_fast();
  }
  select_fast();
}

void Mmu::set_privilege(bool user, bool access_override, bool watched) {
  context_.user = user;
  context_.access_override = access_override;
  context_.watched = watched;
  walker_.set_privilege(user, access_override);
  select_fast();
}

void Mmu::select_fast() {
  const Cache held = held_cache();
  fast_ = &caches_[log_ != nullptr ? none_cache : held];
  if (held == held_by_lines_) return;
  held_by_lines_ = held;
  lines_.flush();
}

void Mmu::set_log(ReferenceLog* log) {
  log_ = log;
  lines_.flush();
  observe_walks();
  select_fast();
}

void Mmu::set_walk_listener(WalkListener* listener) {
  listener_ = listener;
  observe_walks();
}

void Mmu::observe_walks() { walker_.set_observer(log_ == nullptr && listener_ == nullptr ? nullptr : this); }

void Mmu::set_timed_caches(TimedCaches* caches) {
  if (timed_ != nullptr) timed_->data.set_line_filter(nullptr);
  timed_ = caches;
  if (timed_ != nullptr) timed_->data.set_line_filter(&lines_);
  use_structure_caches();
  flush_timed();
}

void Mmu::set_scheme(const SchemeParameters& parameters, unsigned core) {
  scheme_ = parameters.make({walker_, context_, core});
  use_structure_caches();
}

void Mmu::use_structure_caches() {
  const bool use = timed_ != nullptr && (scheme_ == nullptr || scheme_->uses_structure_caches());
  walker_.set_structure_caches(use ? &timed_->structures : nullptr);
}

TlbOutcome Mmu::first_level(FirstLevelTlb& first, u64 linear, unsigned shift) {
  if (first.access(linear, shift, context_.pcid)) return TlbOutcome::FirstLevel;
  tlb_.lookup(Linear(linear));  // it is there; it ages
  return TlbOutcome::SecondLevel;
}

unsigned Mmu::fetch_shift(u64 linear) {
  const FastCache& cache = held();
  if (cache.execute(linear) != nullptr) return cache.shift_of(linear);
  const TlbEntry* const entry = tlb_.lookup(Linear(linear));
  return entry != nullptr ? entry->shift : unsigned{page_shift};
}

void Mmu::reference(const WalkReference& reference) {
  if (listener_ != nullptr) [[unlikely]]
    listener_->reference(reference);
  if (log_ == nullptr) return;
  using enum MemoryReference::Kind;
  if (reference.cached) {
    if (timed_ != nullptr) delay(timed_->entry_cycles);
    return;
  }
  const auto kind = reference.by_software ? (reference.update ? HandlerStore : HandlerLoad)
                                          : (reference.update ? TableUpdate : TableRead);
  log_->add({walked_.value, reference.address, reference.bytes, kind, false, reference.dimension, reference.level,
             TlbOutcome::Walked});
  // A scheme's own references have no level.
  if (kind == TableUpdate && reference.level != 0 && timed_ != nullptr) delay(timed_->update_cycles);
}

void Mmu::delay(u64 cycles) {
  if (log_ == nullptr) return;
  constexpr u64 most = 0xffff;
  for (; cycles != 0; cycles -= std::min(cycles, most)) {
    log_->add({walked_.value,
               {},
               static_cast<u16>(std::min(cycles, most)),
               MemoryReference::Kind::Delay,
               false,
               0,
               0,
               TlbOutcome::Walked});
  }
}

std::optional<Fault> Mmu::translate(Linear address, const Access& access, HostPhysical& out) {
  if (context_.mode == PagingMode::None) {
    out = HostPhysical(address.value);
    fill_fast(address, access, out, all_kinds, page_shift);
    return std::nullopt;
  }
  if (TlbEntry* entry = tlb_.lookup(address)) {
    const AccessKinds ready = ready_kinds(*entry, access, context_);
    if ((ready & kind_bit(access.kind)) != 0) [[likely]] {
      out = entry->translate(address);
      entry->fetched = entry->fetched || access.kind == AccessKind::Execute;
      fill_fast(address, access, out, entry->fetched ? ready : without_execute(ready), entry->shift);
      if (timed_ != nullptr) [[unlikely]]
        note_translation(address, access, entry->shift, TlbOutcome::SecondLevel);
      return std::nullopt;
    }
    // A fault takes the stale entry with it, and only the tables decide whether there is one (SDM vol. 3, 4.10.4.1).
    forget(*entry);
    tlb_.remove(*entry);
  }
  return walk(address, access, out);
}

std::optional<Fault> Mmu::walk(Linear address, const Access& access, HostPhysical& out) {
  walked_ = address;
  if (listener_ != nullptr) [[unlikely]]
    listener_->walk_began(address, access, context_);
  const WalkResult result = scheme_ == nullptr ? walker_.walk(address, access) : scheme_->miss(address, access);
  if (listener_ != nullptr) [[unlikely]]
    listener_->walk_ended(result);
  if (result.outcome != WalkOutcome::Translated) return Fault::page(address.value, result.error_code);
  const Translation& t = result.translation;
  TlbEntry entry;
  entry.linear = address.value & ~((u64{1} << t.shift) - 1);
  entry.physical = t.page.value;
  entry.rights = t.rights;
  entry.shift = t.shift;
  entry.pat_index = t.pat_index;
  entry.global = t.global;
  entry.dirty = t.dirty;
  out = entry.translate(address);
  entry.fetched = access.kind == AccessKind::Execute;
  if (timed_ != nullptr) [[unlikely]]
    note_translation(address, access, entry.shift, TlbOutcome::Walked);
  TlbEntry victim;
  if (tlb_.insert(entry, victim) == nullptr) {
    fetched_uncached_ = fetched_uncached_ || entry.fetched;
    return std::nullopt;
  }
  if (victim.stamp != 0) forget(victim);
  const AccessKinds ready = ready_kinds(entry, access, context_);
  fill_fast(address, access, out, entry.fetched ? ready : without_execute(ready), entry.shift);
  return std::nullopt;
}

void Mmu::note_translation(Linear address, const Access& access, unsigned shift, TlbOutcome outcome) {
  if (access.kind == AccessKind::Execute) fetched_page_ = no_page;
  FirstLevelTlb& first = access.kind == AccessKind::Execute ? timed_->instructions : timed_->data;
  const bool hit = first.access(address.value, shift, context_.pcid);
  last_outcome_ = hit && outcome == TlbOutcome::SecondLevel ? TlbOutcome::FirstLevel : outcome;
  if (access.kind == AccessKind::Execute) {
    fetch_outcome_ = last_outcome_;
    fetch_translated_ = true;
  }
}

void Mmu::fill_fast(Linear address, const Access& access, HostPhysical physical, AccessKinds kinds, unsigned shift) {
  if (context_.watched) return;
  const PhysicalMemory::Page page = memory_.page(physical);
  if (page.host == nullptr) return;
  const bool writable = page.writable && !memory_.page_has_code(physical);
  const u64 tag = address.page().value;
  const auto tag_for = [tag, kinds](AccessKind kind) {
    return (kinds & kind_bit(kind)) != 0 ? tag : FastCache::no_tag;
  };
  FastCache& cache = caches_[cache_for(access.user_mode(), context_.access_override && !access.implicit)];
  cache.note_fill(tag, shift);
  FastCache::Entry& e = cache.at(tag);
  e.read_tag = tag_for(AccessKind::Read);
  e.write_tag = writable ? tag_for(AccessKind::Write) : FastCache::no_tag;
  e.execute_tag = tag_for(AccessKind::Execute);
  e.addend = reinterpret_cast<std::uintptr_t>(page.host) - tag;
}

std::optional<HostPhysical> Mmu::peek(Linear address) const {
  if (context_.mode == PagingMode::None) return HostPhysical(address.value);
  return walker_.peek(address);
}

void Mmu::forget(const TlbEntry& entry) {
  flush_first_level(Linear(entry.linear));
  flush_fast_page(Linear(entry.linear), entry.shift);
  if (entry.fetched) ++epoch_;
}

void Mmu::hold_line(u64 linear, HostPhysical physical, bool writable) {
  FastCache& cache = held();
  const u8* host = cache.read(linear, 1);
  if (host == nullptr || memory_.address_of(host) != physical) return;
  if (timed_ != nullptr && context_.mode != PagingMode::None &&
      !timed_->data.holds(linear, cache.shift_of(linear), context_.pcid))
    return;
  lines_.fill(linear, host, writable && cache.write(linear, 1) == host);
}

void Mmu::flush_fast() {
  ++epoch_;
  lines_.flush();
  fetched_page_ = no_page;
  for (FastCache& cache : caches_) cache.flush();
}

void Mmu::flush_fast_page(Linear address, unsigned shift) {
  lines_.flush_range(address.value, shift);
  fetched_page_ = no_page;
  for (FastCache& cache : caches_) {
    if (shift > page_shift) {
      cache.flush_range(address.value, shift);
    } else {
      cache.flush_page(address.value);
    }
  }
}

void Mmu::flush_first_level(Linear address) {
  if (timed_ == nullptr) return;
  timed_->data.flush_page(address.value);
  timed_->instructions.flush_page(address.value);
}

void Mmu::flush_timed() {
  lines_.flush();
  fetched_page_ = no_page;
  if (timed_ == nullptr) return;
  timed_->data.flush();
  timed_->instructions.flush();
  timed_->structures.flush();
}

void Mmu::flush_timed_pcid(u16 pcid) {
  if (timed_ == nullptr) return;
  lines_.flush();
  fetched_page_ = no_page;
  timed_->data.flush();
  timed_->instructions.flush();
  timed_->structures.flush_space(space_of(pcid));
}

void Mmu::flush_all() {
  if (scheme_ != nullptr) scheme_->flush_all();
  flush_timed();
  tlb_.flush_all();
  flush_fast();
}

void Mmu::flush_non_global() {
  if (scheme_ != nullptr) scheme_->flush_non_global();
  flush_timed();
  tlb_.flush_non_global();
  flush_fast();
}

void Mmu::flush_pcid(u16 pcid) {
  if (scheme_ != nullptr) scheme_->flush_pcid(pcid);
  flush_timed_pcid(pcid);
  tlb_.flush_pcid(pcid);
  if (pcid == tlb_.pcid()) flush_fast();
}

void Mmu::flush_timed_page(Linear address, u16 pcid) {
  if (timed_ == nullptr) return;
  flush_first_level(address);
  timed_->structures.flush_space(space_of(pcid));
}

void Mmu::flush_page(Linear address) {
  if (scheme_ != nullptr) scheme_->flush_page(address, tlb_.pcid(), true);
  flush_timed_page(address, tlb_.pcid());
  const Tlb::Flushed flushed = tlb_.flush_page(address, tlb_.pcid(), true);
  flush_fast_page(address, flushed.shift);
  if (flushed.fetched || fetched_uncached_) ++epoch_;
}

void Mmu::flush_page_of_pcid(Linear address, u16 pcid) {
  if (scheme_ != nullptr) scheme_->flush_page(address, pcid, false);
  flush_timed_page(address, pcid);
  const Tlb::Flushed flushed = tlb_.flush_page(address, pcid, false);
  if (pcid != tlb_.pcid()) return;
  flush_fast_page(address, flushed.shift);
  if (flushed.fetched || fetched_uncached_) ++epoch_;
}

void Mmu::code_page_changed(HostPhysical page) {
  const PhysicalMemory::Page host = memory_.page(page);
  if (host.host == nullptr || !memory_.page_has_code(page)) return;
  lines_.flush();
  for (FastCache& cache : caches_) cache.drop_writes(host.host);
}

void Mmu::register_stats(StatRegistry& registry, const std::string& prefix) const {
  registry.add(prefix + "tlb.hits", tlb_.hits(), "", "TLB hits among the accesses that missed the fast cache");
  registry.add(prefix + "tlb.misses", tlb_.misses(), "", "TLB misses");
  registry.add(prefix + "walker.walks", walker_.walks(), "", "Page walks, those that faulted included");
  registry.add(prefix + "walker.references", walker_.references(), "", "Paging-structure entries read by page walks");
  if (scheme_ != nullptr) scheme_->register_statistics(registry, prefix + "scheme.");
}

void Mmu::hash(StateHash& hash) const {
  tlb_.hash(hash);
  if (scheme_ != nullptr) scheme_->hash(hash);
}

}  // namespace bunshin
