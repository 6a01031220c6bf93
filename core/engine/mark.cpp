#include "core/engine/mark.h"

#include "core/execute/operands.h"
#include "core/state.h"

namespace bunshin::mark {

namespace {

bool run_mark(Cpu& cpu, const Record& r) {
  cpu.environment.marked(cpu.number, static_cast<u16>(r.disp));
  return true;
}

Handler bind_mark(const Decoded&) { return run_plain<run_mark>; }

}  // namespace

bool is_mark(const Decoded& d) {
  const Record& r = d.record;
  return d.memory && r.address_bytes() != 2 && static_cast<u32>(r.disp) >> 16 == signature && r.base == RDX * 8 &&
         r.index == RDX * 8 && r.scale == 3;
}

const Row& row() {
  static constexpr Row mark{"0F 1F /r", "nop", {Op::Ev}, bind_mark, Feature::Base, attr::alone};
  return mark;
}

}  // namespace bunshin::mark
