#include "mmu/memory/cache.h"

#include <algorithm>
#include <new>

namespace bunshin {

namespace {

Inclusion inclusion_of(const std::string& name) {
  if (name == "inclusive") return Inclusion::Inclusive;
  return name == "exclusive" ? Inclusion::Exclusive : Inclusion::NonInclusive;
}

}  // namespace

template <class Parameters>
Cache::Cache(const Parameters& p, u64 seed, Inclusion inclusion, u64 line_cycles)
    : set_mask_(p.size / line_bytes / p.ways - 1),
      ways_(p.ways),
      latency_(p.latency),
      tags_(new (std::align_val_t{line_bytes}) u64[p.size / line_bytes + packed::bytes_a_word]),
      recent_(nullptr),
      hint_shift_(line_shift + static_cast<unsigned>(std::bit_width(set_mask_))),
      hint_words_((p.ways + packed::bytes_a_word - 1) / packed::bytes_a_word),
      hints_((set_mask_ + 1) * hint_words_),
      valid_(set_mask_ + 1),
      lines_(p.size / line_bytes),
      line_cycles_(line_cycles),
      fill_flags_(replacement_policy(p.replacement) == ReplacementPolicy::Srrip ? untouched : 0),
      inclusion_(inclusion),
      replacement_(replacement_policy(p.replacement), set_mask_ + 1, static_cast<unsigned>(p.ways), seed),
      mshrs_(p.mshrs),
      prefetcher_(p.prefetcher) {
  recent_ = replacement_.recent_ways();
  std::fill_n(tags_.get(), lines_ + packed::bytes_a_word, no_line);
}

Cache::Cache(const L1Parameters& p, u64 seed) : Cache(p, seed, Inclusion::NonInclusive, 0) {}

Cache::Cache(const LowerCacheParameters& p, u64 seed) : Cache(p, seed, inclusion_of(p.inclusion), p.line_cycles) {}

Cache::Victim Cache::line_at(u64 index) const {
  const u64 tag = tags_[index];
  if (tag == no_line) return {};
  return {line_of(tag), static_cast<LineState>(tag & state_bits)};
}

Cache::Victim Cache::fill(u64 line, LineState state, u64 flags) {
  const u64 set = set_of(line);
  const u64 begin = set * ways_;
  u64 index = begin;
  Victim victim;
  if (valid_[set] == ways_) {
    index = begin + replacement_.victim(set);
    victim = line_at(index);
    ++counters_.evictions;
    if (victim.state == LineState::Modified) ++counters_.write_backs;
    drop(index);
  } else {
    while (tags_[index] != no_line) ++index;
  }
  ++valid_[set];
  packed::set_byte(&hints_[set * hint_words_], static_cast<unsigned>(index - begin), hint_of(line));
  tags_[index] = line | flags | fill_flags_ | static_cast<u64>(state);
  replacement_.insert(set, static_cast<unsigned>(index - begin));
  set_changed(line);
  return victim;
}

LineState Cache::invalidate(u64 line) {
  const u64 index = find(line);
  if (index == npos) return LineState::Invalid;
  const LineState before = state(index);
  drop(index);
  return before;
}

LineState Cache::share(u64 line) {
  const u64 index = find(line);
  if (index == npos) return LineState::Invalid;
  const LineState before = state(index);
  set_state(index, LineState::Shared);
  return before;
}

u64 Cache::arrival(u64 line, u64 index, u64 cycle) const {
  if ((flags(index) & pending) == 0) return cycle;
  Level level = Level::L1;
  return mshrs_.arrival(line, cycle, level);
}

void Cache::reset() {
  if (hit_elsewhere_ != nullptr) hit_elsewhere_->flush();
  std::fill_n(tags_.get(), lines_, no_line);
  std::fill(hints_.begin(), hints_.end(), u64{0});
  std::fill(valid_.begin(), valid_.end(), u8{0});
  replacement_.reset();
  mshrs_.reset();
  port_.reset();
  prefetcher_.reset();
}

void Cache::hash(StateHash& hash) const {
  for (u64 i = 0; i < lines_; ++i) {
    if (tags_[i] == no_line) continue;
    hash.add(i);
    hash.add(tags_[i]);
  }
  replacement_.hash(hash);
  mshrs_.hash(hash);
  port_.hash(hash);
  prefetcher_.hash(hash);
}

}  // namespace bunshin
