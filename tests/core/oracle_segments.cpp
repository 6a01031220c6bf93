#include "tests/core/oracle_segments.h"

namespace bunshin::oracle {

u64 local_descriptor(unsigned index) {
  const LocalSegment& s = local_segments[index];
  const u64 type = u64{s.contents} << 2 | u64{!s.execute_only_or_read_only} << 1 | 1;
  const u64 rights = type | 0x70 | u64{!s.not_present} << 7;
  const u64 flags = u64{s.big} << 2 | u64{s.pages} << 3;
  return (s.limit & 0xffff) | u64{s.base & 0xffffff} << 16 | rights << 40 | u64{s.limit >> 16 & 0xf} << 48 |
         flags << 52 | u64{s.base >> 24} << 56;
}

Segment data_segment(u16 selector, bool with_ldt) {
  const unsigned index = selector >> 3;
  const bool local = (selector & 4) != 0;
  u64 d = 0;
  if (local && with_ldt && index < local_segments.size()) d = local_descriptor(index);
  if (!local && index < gdt_image.size()) d = gdt_image[index];
  const auto attributes = static_cast<u32>(d >> 40 & 0xf0ff);
  if ((attributes & Segment::present) == 0) return {selector, Segment::null, 0, 0};
  u32 limit = static_cast<u32>((d & 0xffff) | (d >> 32 & 0xf0000));
  if ((attributes & Segment::granularity) != 0) limit = limit << 12 | 0xfff;
  return {selector, attributes, limit, (d >> 16 & 0xffffff) | (d >> 32 & 0xff000000)};
}

}  // namespace bunshin::oracle
