#include "sim/walk/walk_trace.h"

#include <algorithm>
#include <array>
#include <iterator>

#include <fmt/format.h>

namespace bunshin {

namespace {

constexpr std::array<std::string_view, 3> access_names{"read", "write", "execute"};
constexpr std::array<std::string_view, 3> outcome_names{"translated", "page-fault", "second-stage-fault"};

}  // namespace

std::size_t CoreWalkTrace::Walk::next() const {
  std::size_t i = 0;
  while (i < steps.size() && (steps[i].charged || steps[i].reference.cached)) ++i;
  return i;
}

std::string CoreWalkTrace::Walk::step_text(const Step& step) const {
  const WalkReference& r = step.reference;
  std::string text = fmt::format(R"({{"dimension":{},"level":{},"address":"{:#x}","entry":"{:#x}")", r.dimension,
                                 r.level, r.address.value, r.entry);
  if (r.update) text += R"(,"update":true)";
  if (r.cached) text += R"(,"hit":"entry cache","cycles":0)";
  if (step.charged) {
    text += fmt::format(R"(,"hit":"{}","cycles":{})", level_names[static_cast<unsigned>(step.hit)], step.cycles);
  }
  text += '}';
  return text;
}

std::string CoreWalkTrace::Walk::line(unsigned core) const {
  std::string text;
  const auto out = std::back_inserter(text);
  fmt::format_to(out, R"({{"cycle":{},"core":{},)", cycle, core);
  if (ip_known) fmt::format_to(out, R"("ip":"{:#x}",)", ip);
  fmt::format_to(out, R"("block":"{:#x}","linear":"{:#x}","access":"{}","privilege":"{}",)", block, linear,
                 access_names[static_cast<unsigned>(access.kind)], access.user_mode() ? "user" : "supervisor");
  fmt::format_to(out, R"("cr3":"{:#x}","pcid":{},"mode":"{}","result":"{}",)", root, pcid, paging_format(mode).name,
                 outcome_names[static_cast<unsigned>(result.outcome)]);
  if (result.outcome == WalkOutcome::Translated) {
    const u64 bytes = u64{1} << result.translation.shift;
    fmt::format_to(out, R"("page":{},"physical":"{:#x}",)", bytes,
                   result.translation.page.value | (linear & (bytes - 1)));
  } else if (result.outcome == WalkOutcome::PageFault) {
    fmt::format_to(out, R"("error_code":{},)", result.error_code);
  }
  unsigned references = 0;
  u64 cycles = 0;
  std::string list;
  for (const Step& step : steps) {
    if (!list.empty()) list += ',';
    list += step_text(step);
    references += step.reference.update || step.reference.cached ? 0 : 1;
    cycles += step.cycles;
  }
  fmt::format_to(out, R"("references":{},)", references);
  if (!steps.empty() && next() == steps.size()) fmt::format_to(out, R"("cycles":{},)", cycles);
  fmt::format_to(out, R"("steps":[{}]}})", list);
  text += '\n';
  return text;
}

void CoreWalkTrace::walk_began(Linear address, const Access& access, const PagingContext& context) {
  current_ = {};
  current_.cycle = cpu_.cycles();
  current_.linear = address.value;
  current_.code_base = cpu_.mode.bits == 64 ? 0 : cpu_.state.segment(Seg::CS).base;
  current_.block = current_.code_base + cpu_.state.gpr[CpuState::rip_slot];
  current_.ip_known = access.kind == AccessKind::Execute;
  current_.ip = address.value;
  current_.access = access;
  current_.root = context.root;
  current_.pcid = context.pcid;
  current_.mode = context.mode;
}

void CoreWalkTrace::reference(const WalkReference& reference) {
  current_.steps.push_back({reference, false, Level::L1, 0});
}

void CoreWalkTrace::walk_ended(const WalkResult& result) {
  current_.result = result;
  waiting_.push_back(std::move(current_));
  if (!timed_) return flush();
  if (waiting_.size() > most_waiting) write_front();
  write_charged();
}

void CoreWalkTrace::charged(const MemoryReference& reference, u64 cycle, const Reply& reply, u64 rip) {
  const bool update = reference.kind == MemoryReference::Kind::TableUpdate;
  // A log that was full has no part of some walks: they are passed over.
  while (!waiting_.empty()) {
    Walk& walk = waiting_.front();
    const std::size_t next = walk.next();
    Step& step = walk.steps[next];
    if (walk.linear == reference.linear && step.reference.address == reference.physical &&
        step.reference.update == update) {
      const bool first = std::none_of(walk.steps.begin(), walk.steps.end(), [](const Step& s) { return s.charged; });
      if (first) walk.cycle = cycle;
      if (first && exact_ && !walk.ip_known) {
        walk.ip = walk.code_base + rip;
        walk.ip_known = true;
      }
      step.charged = true;
      step.hit = reply.level;
      step.cycles = reply.complete - cycle;
      return write_charged();
    }
    write_front();
    write_charged();
  }
}

void CoreWalkTrace::timing_began(bool exact) {
  flush();
  timed_ = true;
  exact_ = exact;
}

void CoreWalkTrace::timing_ended() {
  flush();
  timed_ = false;
}

void CoreWalkTrace::write_front() {
  file_.write(waiting_.front().line(cpu_.number));
  waiting_.pop_front();
}

void CoreWalkTrace::write_charged() {
  while (!waiting_.empty() && waiting_.front().next() == waiting_.front().steps.size()) write_front();
}

void CoreWalkTrace::flush() {
  while (!waiting_.empty()) write_front();
}

std::string WalkTrace::close() {
  for (const auto& core : cores_) core->flush();
  file_.flush();
  return file_.error();
}

}  // namespace bunshin
