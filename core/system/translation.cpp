// INVLPG, INVPCID (SDM vol. 3, 4.10.4.1) and the protection-key rights register.

#include <array>

#include "core/events/segmentation.h"
#include "core/system/semantics.h"
#include "core/virt/intercept.h"

namespace bunshin::semantics {

bool load_invalidation_descriptor(Cpu& cpu, const Record& r, std::array<u64, 2>& descriptor) {
  u64 linear = 0;
  return cpu.to_linear(cpu.segment_of(r), cpu.effective_address(r), sizeof(descriptor), AccessKind::Read, linear) &&
         cpu.read_slow(linear, descriptor.data(), sizeof(descriptor), Cpu::Privilege::Current);
}

bool invlpg(Cpu& cpu, const Record& r) {
  const u64 linear = cpu.unchecked_linear(r);
  if (intercepted(cpu, r, Intercept::Invlpg, linear)) return false;
  if (cpu.mode.bits == 64 && !canonical(cpu, linear)) return true;  // no operation (SDM vol. 2, INVLPG)
  cpu.mmu.flush_page(Linear(linear));
  return true;
}

bool invpcid(Cpu& cpu, const Record& r) {
  if (!enabled_in_guest(cpu, Intercept::Invpcid)) return false;
  if (intercepted(cpu, r, Intercept::Invpcid, cpu.unchecked_linear(r))) return false;
  enum Type : u64 { individual_address = 0, single_context = 1, all_contexts = 2, all_but_globals = 3 };
  const u64 type = cpu.mode_sized_reg(r.reg);
  std::array<u64, 2> descriptor{};
  if (!load_invalidation_descriptor(cpu, r, descriptor)) return false;
  const u64 pcid = descriptor[0];
  if (type > all_but_globals || pcid > 0xfff) return cpu.raise(Vector::GP, 0);
  const bool by_pcid = type == individual_address || type == single_context;
  if (by_pcid && pcid != 0 && (cpu.state.cr4 & cr4::PCIDE) == 0) return cpu.raise(Vector::GP, 0);
  switch (type) {
    case individual_address:
      // For the widest addresses the processor has, whatever CR4.LA57.
      if (!is_canonical(descriptor[1], cpu.profile.linear_bits())) return cpu.raise(Vector::GP, 0);
      cpu.mmu.flush_page_of_pcid(Linear(descriptor[1]), static_cast<u16>(pcid));
      break;
    case single_context: cpu.mmu.flush_pcid(static_cast<u16>(pcid)); break;
    case all_contexts: cpu.mmu.flush_all(); break;
    default: cpu.mmu.flush_non_global(); break;
  }
  return true;
}

bool rdpkru(Cpu& cpu, const Record&) {
  if ((cpu.state.cr4 & cr4::PKE) == 0) return cpu.raise(Vector::UD);
  if (cpu.reg<u32>(offset_of(RCX)) != 0) return cpu.raise(Vector::GP, 0);
  cpu.set_reg(offset_of(RAX), cpu.state.pkru);
  cpu.set_reg(offset_of(RDX), u32{0});
  return true;
}

bool wrpkru(Cpu& cpu, const Record&) {
  if ((cpu.state.cr4 & cr4::PKE) == 0) return cpu.raise(Vector::UD);
  if (cpu.reg<u32>(offset_of(RCX)) != 0 || cpu.reg<u32>(offset_of(RDX)) != 0) return cpu.raise(Vector::GP, 0);
  cpu.state.pkru = cpu.reg<u32>(offset_of(RAX));
  cpu.update_mode();
  return true;
}

}  // namespace bunshin::semantics
