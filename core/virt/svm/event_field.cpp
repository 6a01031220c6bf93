#include "core/virt/svm/event_field.h"

#include "base/fault.h"
#include "core/virt/svm/vmcb.h"

namespace bunshin::svm {

namespace {

namespace field = event_field;

constexpr u8 number(Vector v) { return static_cast<u8>(v); }

field::Type type_of(EventKind kind) {
  switch (kind) {
    case EventKind::External: return field::external;
    case EventKind::Nmi: return field::nmi;
    case EventKind::SoftwareInterrupt: return field::software_interrupt;
    default: return field::exception;
  }
}

/// Vectors of the exceptions that there are; 2 is the NMI's, others are reserved, #CP, #HV and #VC of features no profile has.
constexpr u32 exceptions = 0x400f'7dfb;

u8 raw_type(u64 value) { return value >> field::type_shift & 7; }

/// INT3 and INTO are injected as exceptions, and are software's all the same (15.20).
EventKind exception_kind(u8 vector) {
  return vector == number(Vector::BP) || vector == number(Vector::OF) ? EventKind::SoftwareException
                                                                      : EventKind::Exception;
}

}  // namespace

u64 encode_event(const Event& event) {
  u64 value = u64{event.vector} | u64{type_of(event.kind)} << field::type_shift | field::valid;
  if (event.has_error_code) value |= field::error_code_valid | u64{event.error_code} << field::error_code_shift;
  return value;
}

bool is_illegal_injection(u64 value) {
  if ((value & field::valid) == 0) return false;
  const u8 vector = value & field::vector;
  switch (raw_type(value)) {
    case field::external:
    case field::nmi:
    case field::software_interrupt: return false;
    case field::exception: return vector > 31 || (exceptions >> vector & 1) == 0;
    default: return true;
  }
}

std::optional<Event> decode_injection(u64 value) {
  if ((value & field::valid) == 0) return std::nullopt;
  Event event;
  event.vector = value & field::vector;
  switch (raw_type(value)) {
    case field::external: event.kind = EventKind::External; break;
    case field::nmi:
      event.kind = EventKind::Nmi;
      event.vector = number(Vector::NMI);
      break;
    case field::software_interrupt: event.kind = EventKind::SoftwareInterrupt; break;
    default: event.kind = exception_kind(event.vector); break;
  }
  event.has_error_code = event.kind == EventKind::Exception && (value & field::error_code_valid) != 0;
  if (event.has_error_code) event.error_code = static_cast<u32>(value >> field::error_code_shift);
  return event;
}

}  // namespace bunshin::svm
