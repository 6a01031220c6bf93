#pragma once

// EVENTINJ and EXITINTINFO: an event in a field of the VMCB (AMD APM vol. 2, 15.20 and 15.7.2).

#include <optional>

#include "core/events/event.h"

namespace bunshin::svm {

/// What was being delivered, as EXITINTINFO says it.
u64 encode_event(const Event& event);

/// A type or a vector that VMRUN refuses. A field that is not valid is never illegal.
bool is_illegal_injection(u64 field);

/// What a legal EVENTINJ asks for; empty: nothing. Return address and flags are for whoever delivers it.
std::optional<Event> decode_injection(u64 field);

}  // namespace bunshin::svm
