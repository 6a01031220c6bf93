// Port and MSR accesses, asked of the permission maps in memory (AMD APM vol. 2, 15.10 and 15.11).

#include "core/engine/dispatch.h"
#include "core/virt/physical_access.h"
#include "core/virt/svm/permission_map.h"
#include "core/virt/svm/svm.h"

namespace bunshin::svm {

bool Svm::map_denies(u64 map, u64 byte, u16 mask) const {
  const HostPhysical at((map & ~u64{0xfff}) + byte);
  if (mask <= 0xff) return (read_physical<u8>(cpu_, at) & mask) != 0;
  return (read_physical<u16>(cpu_, at) & mask) != 0;
}

bool Svm::intercepts_io(const Record& r, const IoDetail& access) {
  if (!intercepted(ExitCode::Io)) return false;
  const MapBits bits = io_map_bits(access.port, access.bytes);
  if (!map_denies(vmcb_.control.io_map, bits.byte, bits.mask)) return false;
  const u64 info = io_exit_info(r, access, has_feature(Feature::DecodeAssists));
  return exit_for(r, ExitCode::Io, info, next_rip(cpu_, r));
}

bool Svm::intercepts_msr(const Record& r, u32 index, bool write) {
  if (!intercepted(ExitCode::Msr)) return false;
  const auto bits = msr_map_bits(index, write);
  if (bits && !map_denies(vmcb_.control.msr_map, bits->byte, bits->mask)) return false;
  return exit_for(r, ExitCode::Msr, write ? 1 : 0);
}

}  // namespace bunshin::svm
