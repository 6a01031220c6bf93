// What software invalidates, and what has to go with it (SDM vol. 3, 4.10.4.1).

#include "mmu/mmu.h"
#include "mmu/scheme.h"

namespace bunshin {

void Mmu::forget(const TlbEntry& entry) {
  flush_first_level(Linear(entry.linear), entry.tag);
  World& world = world_of(entry.tag);
  const bool running = &world == world_;
  if ((running ? context_ : world.context).guest_tag != entry.tag) return;
  if (running) forget_lines(Linear(entry.linear), entry.shift);
  flush_page(world, Linear(entry.linear), entry.shift);
  if (entry.fetched) (running ? epoch_ : world.epoch) = ++epochs_;
}

void Mmu::flush_fast() {
  new_epoch();
  lines_.flush();
  fetched_page_ = no_page;
  for (FastCache& cache : world_->caches) cache.flush();
}

/// Of the side that is not running.
void Mmu::flush_fast(World& world) {
  world.epoch = ++epochs_;
  for (FastCache& cache : world.caches) cache.flush();
}

void Mmu::forget_lines(Linear address, unsigned shift) {
  lines_.flush_range(address.value, shift);
  fetched_page_ = no_page;
}

void Mmu::flush_fast_page(Linear address, unsigned shift) {
  forget_lines(address, shift);
  flush_page(*world_, address, shift);
}

void Mmu::flush_page(World& world, Linear address, unsigned shift) {
  for (FastCache& cache : world.caches) {
    if (shift > page_shift) {
      cache.flush_range(address.value, shift);
    } else {
      cache.flush_page(address.value);
    }
  }
}

void Mmu::flush_first_level(Linear address, u32 tag) {
  if (timed_ == nullptr) return;
  timed_->data.flush_page(address.value, tag);
  timed_->instructions.flush_page(address.value, tag);
}

void Mmu::flush_timed() {
  lines_.flush();
  fetched_page_ = no_page;
  if (timed_ == nullptr) return;
  timed_->data.flush();
  timed_->instructions.flush();
  timed_->structures.flush();
}

void Mmu::flush_timed(u32 tag) {
  lines_.flush();
  fetched_page_ = no_page;
  if (timed_ == nullptr) return;
  timed_->data.flush_tag(tag);
  timed_->instructions.flush_tag(tag);
  timed_->structures.flush_guest(tag);
}

void Mmu::flush_timed_pcid(u16 pcid) {
  if (timed_ == nullptr) return;
  lines_.flush();
  fetched_page_ = no_page;
  timed_->data.flush_tag(context_.guest_tag);
  timed_->instructions.flush_tag(context_.guest_tag);
  timed_->structures.flush_space(space_of(pcid));
}

void Mmu::flush_all() {
  count_guest_flush();
  if (scheme_ != nullptr) scheme_->flush_all();
  flush_timed(context_.guest_tag);
  tlb_.flush_all();
  flush_fast();
}

void Mmu::flush_non_global() {
  count_guest_flush();
  if (scheme_ != nullptr) scheme_->flush_non_global();
  flush_timed(context_.guest_tag);
  tlb_.flush_non_global();
  flush_fast();
}

void Mmu::flush_pcid(u16 pcid) {
  count_guest_flush();
  if (scheme_ != nullptr) scheme_->flush_pcid(pcid);
  flush_timed_pcid(pcid);
  tlb_.flush_pcid(pcid);
  if (pcid == tlb_.pcid()) flush_fast();
}

void Mmu::flush_timed_page(Linear address, u16 pcid) {
  if (timed_ == nullptr) return;
  flush_first_level(address, context_.guest_tag);
  timed_->structures.flush_space(space_of(pcid));
}

void Mmu::flush_page(Linear address) {
  count_guest_flush();
  if (scheme_ != nullptr) scheme_->flush_page(address, tlb_.pcid(), true);
  flush_timed_page(address, tlb_.pcid());
  const Tlb::Flushed flushed = tlb_.flush_page(address, tlb_.pcid(), true);
  flush_fast_page(address, flushed.shift);
  if (flushed.fetched || fetched_uncached_) new_epoch();
}

void Mmu::flush_page_of_pcid(Linear address, u16 pcid) {
  count_guest_flush();
  if (scheme_ != nullptr) scheme_->flush_page(address, pcid, false);
  flush_timed_page(address, pcid);
  const Tlb::Flushed flushed = tlb_.flush_page(address, pcid, false);
  if (pcid != tlb_.pcid()) return;
  flush_fast_page(address, flushed.shift);
  if (flushed.fetched || fetched_uncached_) new_epoch();
}

void Mmu::flush_fast_of(u32 tag) {
  World& world = world_of(tag);
  if (&world == world_) {
    if (context_.guest_tag == tag) flush_fast();
  } else if (world.context.guest_tag == tag) {
    flush_fast(world);
  }
}

void Mmu::flush_guest_linear(u32 tag) {
  if (scheme_ != nullptr) scheme_->flush_guest(tag);
  flush_timed(tag);
  tlb_.flush_tag(tag);
  flush_fast_of(tag);
}

void Mmu::flush_guest_non_global(u32 tag) {
  if (scheme_ != nullptr) scheme_->flush_guest(tag);
  flush_timed(tag);
  tlb_.flush_tag_non_global(tag);
  flush_fast_of(tag);
}

void Mmu::flush_guest_page(u32 tag, Linear address) {
  if (scheme_ != nullptr) scheme_->flush_guest(tag);
  if (timed_ != nullptr) {
    flush_first_level(address, tag);
    timed_->structures.flush_guest(tag);
  }
  tlb_.flush_tag_page(tag, address);
  flush_fast_of(tag);
}

void Mmu::flush_second_stage(u64 tag) {
  if (timed_ == nullptr) return;
  timed_->nested_tlb.flush_tag(tag);
  timed_->stage_structures.flush_space(tag);
  if (!timed_->structures.by_translation()) timed_->structures.flush_space(tag);
}

void Mmu::flush_second_stages() {
  if (timed_ == nullptr) return;
  timed_->nested_tlb.flush();
  timed_->stage_structures.flush();
  if (!timed_->structures.by_translation()) timed_->structures.flush();
}

void Mmu::flush_guest(u32 tag) {
  flush_guest_linear(tag);
  flush_second_stage(tag);
}

void Mmu::flush_all_guests() {
  if (scheme_ != nullptr) scheme_->flush_everything();
  flush_timed();
  flush_second_stages();
  tlb_.flush_everything();
  flush_fast();
  if (guest_ != nullptr) flush_fast(world_ == host_.get() ? *guest_ : *host_);
}

void Mmu::code_page_changed(HostPhysical page) {
  const PhysicalMemory::Page host = memory_.page(page);
  if (host.host == nullptr || !memory_.page_has_code(page)) return;
  lines_.flush();
  for (World* world : {host_.get(), guest_.get()}) {
    if (world == nullptr) continue;
    for (FastCache& cache : world->caches) cache.drop_writes(host.host);
  }
}

}  // namespace bunshin
