#pragma once

// What a back end is asked beyond GuestExecution if it performs parts of a guest's processor by software: the guest's kernel and
// programs both run in user state, each on shadow tables of its own, in which the kernel's pages all are user pages.

#include <array>
#include <span>

#include "vmm-model/exit.h"
#include "vmm-model/guest_memory.h"

namespace bunshin::vmm {

class GuestPaging;

/// How long guest code ran in user state, the way in and out included.
struct UserStateTime {
  u64 tsc = 0, entries = 0;
};

class SoftwareProcessor {
 public:
  /// The kernel's, and its programs'.
  virtual std::array<UserStateTime, 2> user_state_time() const = 0;
  /// Before the guest is loaded. `scan`: its kernel's code is rewritten before it runs. False: no memory left.
  virtual bool attach(GuestMemory& memory, GuestPaging& paging, bool scan) = 0;
  /// The tables of GuestExecution::use_shadow() are for the guest's kernel, these for its programs.
  virtual void use_user_shadow(HostPhysical root) = 0;
  /// Carries out what the exit stopped at. An event: it faults, and this is to be delivered.
  virtual Event complete(const Exit& exit) = 0;

  /// The page may hold code that was rewritten.
  virtual bool holds_code(GuestPhysical page) = 0;
  /// Code that was rewritten, as the guest has written it: `bytes` were read at `address`, in one page.
  virtual void restore_code(GuestPhysical address, std::span<u8> bytes) = 0;
  /// The page holds code that was rewritten, or descriptors: no shadow entry may make it writable.
  virtual bool traps_writes(GuestPhysical page) = 0;
  /// Guest memory has been written by somebody other than the guest's own instructions.
  virtual void memory_written(GuestPhysical address, u64 bytes) = 0;
  /// A write to a page that traps could not be performed. True: the guest's own instruction can write it now.
  virtual bool give_up(GuestPhysical page) = 0;
  /// Takes from CPUID what guests of this back end do not have.
  virtual void restrict_cpuid(u32 leaf, CpuidResult& result) const = 0;

 protected:
  ~SoftwareProcessor() = default;
};

}  // namespace bunshin::vmm
