#include "mmu/memory/prefetcher.h"

#include <algorithm>
#include <cstdlib>

#include "base/address.h"
#include "mmu/memory/request_kind.h"

namespace bunshin {

Prefetcher::Prefetcher(const PrefetcherParameters& parameters)
    : degree_(static_cast<i64>(parameters.degree)), distance_(static_cast<i64>(parameters.distance)) {
  if (parameters.kind == "next-line") kind_ = Kind::NextLine;
  if (parameters.kind == "stride") kind_ = Kind::Stride;
  if (parameters.kind == "streamer") kind_ = Kind::Streamer;
}

void Prefetcher::train(u64 ip, u64 address, Wishes& wishes) {
  wishes.count = 0;
  switch (kind_) {
    case Kind::None: return;
    case Kind::NextLine:
      for (i64 i = 0; i < degree_; ++i) wish(address, (distance_ + i) * static_cast<i64>(line_bytes), wishes);
      return;
    case Kind::Stride: return train_stride(ip, address, wishes);
    case Kind::Streamer: return train_stream(address, wishes);
  }
}

/// False if the line lies outside the page.
bool Prefetcher::wish(u64 address, i64 delta, Wishes& wishes) {
  const i64 offset = static_cast<i64>(address % page_size) + delta;
  if (offset < 0 || offset >= static_cast<i64>(page_size)) return false;
  const u64 line = address / page_size * page_size + line_of(static_cast<u64>(offset));
  const auto end = wishes.lines.begin() + wishes.count;
  if (line != line_of(address) && std::find(wishes.lines.begin(), end, line) == end) {
    wishes.lines[wishes.count++] = line;
  }
  return true;
}

void Prefetcher::train_stride(u64 ip, u64 address, Wishes& wishes) {
  if (ip == 0) return;
  StrideEntry& e = strides_[(ip ^ ip >> 8) % strides_.size()];
  if (e.ip != ip) {
    e = {.ip = ip, .address = address};
    return;
  }
  i64 stride = static_cast<i64>(address - e.address);
  const i64 lines = static_cast<i64>(address >> line_shift) - static_cast<i64>(e.address >> line_shift);
  // Strides below a line show as steps from line to line, of varying bytes.
  if (std::abs(lines) == 1 && stride != e.stride) stride = lines * static_cast<i64>(line_bytes);
  e.address = address;
  if (stride == 0) return;
  e.confidence = stride == e.stride ? std::min(e.confidence + 1, confident) : 0;
  e.stride = stride;
  if (e.confidence == 0 || std::abs(stride) >= static_cast<i64>(page_size)) return;
  for (i64 i = 0; i < degree_ && wish(address, (distance_ + i) * stride, wishes); ++i) {}
}

Prefetcher::StreamEntry& Prefetcher::stream_of(u64 page) {
  StreamEntry* victim = &streams_[0];
  for (StreamEntry& e : streams_) {
    if (e.page == page) return e;
    if (e.used < victim->used) victim = &e;
  }
  *victim = {};
  return *victim;
}

void Prefetcher::train_stream(u64 address, Wishes& wishes) {
  const u64 page = address / page_size;
  const i64 offset = static_cast<i64>(address % page_size / line_bytes);
  StreamEntry& e = stream_of(page);
  e.used = ++clock_;
  if (e.page != page) {
    e.page = page;
    e.offset = e.ahead = offset;
    return;
  }
  const i64 direction = offset > e.offset ? 1 : offset < e.offset ? -1 : 0;
  e.offset = offset;
  if (direction == 0) return;
  e.confidence = direction == e.direction ? std::min(e.confidence + 1, confident) : 1;
  if (direction != e.direction) e.ahead = offset;
  e.direction = direction;
  if (e.confidence < confident) return;
  // From where the stream has got to, up to `distance` lines ahead of the access.
  const i64 limit = std::clamp(offset + direction * (distance_ + degree_ - 1), i64{0}, lines_of_page - 1);
  if ((offset - e.ahead) * direction > 0) e.ahead = offset;
  for (i64 i = 0; i < degree_ && (limit - e.ahead) * direction > 0; ++i) {
    e.ahead += direction;
    wish(address, (e.ahead - offset) * static_cast<i64>(line_bytes), wishes);
  }
}

void Prefetcher::reset() {
  clock_ = 0;
  strides_.fill({});
  streams_.fill({});
}

void Prefetcher::hash(StateHash& hash) const {
  if (kind_ == Kind::Stride) {
    for (const StrideEntry& e : strides_) {
      hash.add(e.ip);
      hash.add(e.address);
      hash.add(static_cast<u64>(e.stride) << 2 | e.confidence);
    }
  }
  if (kind_ == Kind::Streamer) {
    for (const StreamEntry& e : streams_) {
      hash.add(e.page);
      hash.add(static_cast<u64>(e.offset) << 32 | static_cast<u32>(e.ahead));
      hash.add(e.used);
    }
  }
}

}  // namespace bunshin
