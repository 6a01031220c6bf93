#include "mmu/mmu.h"

#include <algorithm>

#include "mmu/memory/cache.h"
#include "mmu/scheme.h"

namespace bunshin {

namespace {

/// Whether what the fast caches hold under `a` is right under `b`. CPL and EFLAGS.AC choose among caches instead; CR3's
/// address alone changes nothing that the TLB holds.
bool same_rights(const PagingContext& a, const PagingContext& b) {
  return a.mode == b.mode && a.pcid == b.pcid && a.write_protect == b.write_protect && a.smep == b.smep &&
         a.smap == b.smap && a.protection_keys == b.protection_keys && a.pkru == b.pkru &&
         a.no_execute == b.no_execute && a.global_pages == b.global_pages && a.guest_tag == b.guest_tag;
}

/// Fast fetches are permitted only by entries marked as fetched: see Mmu::epoch().
AccessKinds without_execute(AccessKinds kinds) {
  return static_cast<AccessKinds>(kinds & ~kind_bit(AccessKind::Execute));
}

}  // namespace

Mmu::Mmu(const TlbParameters& parameters, PhysicalMemory& memory) : memory_(memory), tlb_(parameters), walker_(memory) {
  select_fast();
}

Mmu::~Mmu() = default;

void Mmu::set_context(const PagingContext& context) {
  World& next = world_of(context.guest_tag);
  const bool crosses = &next != world_;
  const bool keep = same_rights(crosses ? next.context : context_, context) && next.stage == second_stage_ &&
                    next.trapped_page == trapped_page_;
  if (crosses) enter(next);
  context_ = context;
  walker_.set_context(context);
  if (!keep || crosses) {
    tlb_.set_pcid(context.pcid);
    tlb_.set_tag(context.guest_tag);
    if (timed_ != nullptr) {
      timed_->data.set_tag(context.guest_tag);
      timed_->instructions.set_tag(context.guest_tag);
    }
    if (context.mode != PagingMode::None) tlb_.set_large_shift(context.mode == PagingMode::TwoLevel ? 22 : 21);
  }
  next.stage = second_stage_;
  next.trapped_page = trapped_page_;
  if (!keep) flush_fast();
  select_fast();
}

Mmu::World& Mmu::world_of(u32 tag) {
  if (tag == 0) return *host_;
  if (guest_ == nullptr) guest_ = std::make_unique<World>();
  return *guest_;
}

void Mmu::enter(World& world) {
  world_->context = context_;
  world_->epoch = epoch_;
  world_ = &world;
  epoch_ = world.epoch;
  held_by_lines_ = none_cache;
  lines_.flush();
  fetched_page_ = no_page;
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
  fast_ = &world_->caches[log_ != nullptr ? none_cache : held];
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

void Mmu::observe_walks() {
  walker_.set_observer(log_ == nullptr && listener_ == nullptr ? nullptr : this);
  if (second_stage_ != nullptr) second_stage_->set_observer(walker_.observer());
}

void Mmu::set_timed_caches(TimedCaches* caches) {
  if (timed_ != nullptr) timed_->data.set_line_filter(nullptr);
  timed_ = caches;
  if (timed_ != nullptr) {
    timed_->data.set_line_filter(&lines_);
    timed_->data.set_tag(context_.guest_tag);
    timed_->instructions.set_tag(context_.guest_tag);
  }
  use_timed_caches();
  flush_timed();
  flush_second_stages();
}

void Mmu::set_scheme(const SchemeParameters& parameters, unsigned core) {
  scheme_ = parameters.make({walker_, context_, core});
  use_timed_caches();
}

void Mmu::set_second_stage(SecondStageWalker* stage) {
  second_stage_ = stage;
  walker_.set_second_stage(stage);
  if (stage != nullptr) stage->set_observer(walker_.observer());
  use_timed_caches();
}

void Mmu::use_timed_caches() {
  const bool structures = timed_ != nullptr && (scheme_ == nullptr || scheme_->uses_structure_caches());
  walker_.set_structure_caches(structures ? &timed_->structures : nullptr);
  if (second_stage_ == nullptr) return;
  second_stage_->set_nested_tlb(structures ? &timed_->nested_tlb : nullptr);
  StructureCache* own = nullptr;
  if (structures) own = timed_->structures.by_translation() ? &timed_->stage_structures : &timed_->structures;
  second_stage_->set_structure_caches(own);
}

void Mmu::set_data_cache(bunshin::Cache* cache) {
  if (data_cache_ != nullptr) data_cache_->set_line_filter(nullptr);
  data_cache_ = cache;
  lines_.flush();
  if (cache != nullptr) cache->set_line_filter(&lines_);
}

void Mmu::hold_line(u64 linear, HostPhysical physical) {
  if (data_cache_ == nullptr || !data_cache_->plain_read(physical.value)) return;
  FastCache& cache = held();
  const u8* host = cache.read(linear, 1);
  if (host == nullptr || memory_.address_of(host) != physical) return;
  if (timed_ != nullptr && context_.mode != PagingMode::None &&
      !timed_->data.holds(linear, cache.shift_of(linear), context_.pcid))
    return;
  lines_.fill(linear, host, data_cache_->plain_write(physical.value) && cache.write(linear, 1) == host);
}

bool Mmu::hit_line(u64 linear, const u8* host, unsigned size, bool store) {
  const u64 physical = memory_.address_of(host).value;
  if (data_cache_ == nullptr || line_of(linear) != line_of(linear + size - 1) ||
      !data_cache_->hit_plainly(physical, store))
    return false;
  lines_.fill(linear, host, store || (data_cache_->plain_write(physical) && held().write(linear, 1) == host));
  // Its hits are counted there.
  return store ? lines_.write(linear, size) != nullptr : lines_.read(linear, size) != nullptr;
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
  if (context_.mode == PagingMode::None && second_stage_ == nullptr) {
    out = HostPhysical(address.value);
    fill_fast(address, access, out, all_kinds, page_shift);
    return std::nullopt;
  }
  if (TlbEntry* entry = tlb_.lookup(address)) {
    const AccessKinds ready = ready_kinds(*entry, access);
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
  second_stage_faulted_ = result.outcome == WalkOutcome::SecondStageFault;
  if (second_stage_faulted_) [[unlikely]]
    return Fault::second_stage(address.value);
  if (result.outcome != WalkOutcome::Translated) return Fault::page(address.value, result.error_code);
  TlbEntry entry = entry_of(address, result.translation);
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
  const AccessKinds ready = ready_kinds(entry, access);
  fill_fast(address, access, out, entry.fetched ? ready : without_execute(ready), entry.shift);
  return std::nullopt;
}

AccessKinds Mmu::ready_kinds(const TlbEntry& entry, const Access& access) const {
  const bool paging = context_.mode != PagingMode::None;
  const AccessKinds permitted = paging ? permitted_kinds(entry.rights, access, context_) : all_kinds;
  const AccessKinds kinds = permitted & entry.stage_kinds;
  return entry.dirty ? kinds : static_cast<AccessKinds>(kinds & ~kind_bit(AccessKind::Write));
}

TlbEntry Mmu::entry_of(Linear address, const Translation& t) const {
  TlbEntry entry;
  // The two stages' pages together may have a size that no array is for.
  const unsigned large = tlb_.large_shift();
  entry.shift = t.shift >= 30 ? 30 : static_cast<u8>(t.shift >= large ? large : page_shift);
  const u64 offset = (u64{1} << entry.shift) - 1;
  entry.linear = address.value & ~offset;
  entry.physical = t.page.value + (address.value & ((u64{1} << t.shift) - 1) & ~offset);
  entry.rights = t.rights;
  entry.pat_index = t.pat_index;
  entry.global = t.global;
  entry.dirty = t.dirty;
  entry.stage_kinds = t.stage_kinds;
  return entry;
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
  if (page.host == nullptr || physical.page() == trapped_page_) return;
  const bool writable = page.writable && !memory_.page_has_code(physical);
  const u64 tag = address.page().value;
  const auto tag_for = [tag, kinds](AccessKind kind) {
    return (kinds & kind_bit(kind)) != 0 ? tag : FastCache::no_tag;
  };
  FastCache& cache = world_->caches[cache_for(access.user_mode(), context_.access_override && !access.implicit)];
  cache.note_fill(tag, shift);
  FastCache::Entry& e = cache.at(tag);
  e.read_tag = tag_for(AccessKind::Read);
  e.write_tag = writable ? tag_for(AccessKind::Write) : FastCache::no_tag;
  e.execute_tag = tag_for(AccessKind::Execute);
  e.addend = reinterpret_cast<std::uintptr_t>(page.host) - tag;
}

std::optional<HostPhysical> Mmu::peek(Linear address) const {
  if (context_.mode == PagingMode::None && second_stage_ == nullptr) return HostPhysical(address.value);
  return walker_.peek(address);
}

void Mmu::register_stats(StatRegistry& registry, const std::string& prefix) const {
  registry.add(prefix + "tlb.hits", tlb_.hits(), "", "TLB hits among the accesses that missed the fast cache");
  registry.add(prefix + "tlb.misses", tlb_.misses(), "", "TLB misses");
  tlb_.register_statistics(registry, prefix + "tlb.");
  registry.add(prefix + "walker.walks", walker_.walks(), "", "Page walks, those that faulted included");
  registry.add(prefix + "walker.references", walker_.references(), "", "Paging-structure entries read by page walks");
  if (scheme_ != nullptr) scheme_->register_statistics(registry, prefix + "scheme.");
}

void Mmu::TimedCaches::register_statistics(StatRegistry& registry, const std::string& prefix) const {
  data.register_statistics(registry, prefix + "l1d_tlb.");
  instructions.register_statistics(registry, prefix + "l1i_tlb.");
  structures.register_statistics(registry, prefix + "structure_cache.");
  stage_structures.register_statistics(registry, prefix + "stage_structure_cache.");
  registry.add(prefix + "nested_tlb.hits", nested_tlb.hits(), "", "guest-physical pages that needed no walk");
  registry.add(prefix + "nested_tlb.misses", nested_tlb.misses(), "", "… that did");
}

void Mmu::TimedCaches::hash(StateHash& hash) const {
  data.hash(hash);
  instructions.hash(hash);
  structures.hash(hash);
  stage_structures.hash(hash);
  nested_tlb.hash(hash);
}

void Mmu::hash(StateHash& hash) const {
  tlb_.hash(hash);
  if (scheme_ != nullptr) scheme_->hash(hash);
}

}  // namespace bunshin
