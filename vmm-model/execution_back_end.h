#pragma once

// A way to run guests on this processor (CHAPTER S9 to S11): what all its guests share, and what makes a guest's processor.
// Back ends: arch/svm, arch/vmx, arch/deprivileged. The binding names those it has, in order of preference; the hypervisor
// takes the first that the processor can do.

#include <new>
#include <string_view>

#include "vmm-model/guest_execution.h"
#include "vmm-model/page_pool.h"

namespace bunshin::vmm {

/// Of the back end for guests in user state.
inline constexpr std::string_view user_state_name = "user state";

class ExecutionBackEnd {
 public:
  virtual std::string_view name() const = 0;
  /// Turns it on. What the processor or its firmware lacks, as the end of a sentence; empty: it is on.
  virtual std::string_view enable(Hardware& hardware, PagePool& pool) = 0;
  /// Its guests can use_second_stage(). Asked once it is on.
  virtual bool nested_paging() const = 0;
  /// A new guest's processor, never given back. Null: no memory left.
  virtual GuestExecution* create_execution(Hardware& hardware, PagePool& pool) = 0;

 protected:
  ~ExecutionBackEnd() = default;
};

/// An object of the hypervisor's own, never given back. Null: no memory left.
template <class T, class... Arguments>
T* create_object(Hardware& hardware, Arguments&&... arguments) {
  void* place = hardware.allocate_object(sizeof(T));
  return place == nullptr ? nullptr : new (place) T(static_cast<Arguments&&>(arguments)...);
}

}  // namespace bunshin::vmm
