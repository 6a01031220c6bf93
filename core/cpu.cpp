#include "core/cpu.h"

#include <algorithm>
#include <array>
#include <bit>

#include "core/events/debug.h"

namespace bunshin {

Cpu::Cpu(const CpuProfile& cpu_profile, const TlbParameters& tlb, unsigned core_number, PhysicalMemory& physical_memory,
         BusPort& bus_port, LocalApic& local_apic, CoreEnvironment& core_environment)
    : profile(cpu_profile),
      number(core_number),
      memory(physical_memory),
      bus(bus_port),
      apic(local_apic),
      environment(core_environment),
      mmu(tlb, physical_memory),
      virt(make_virtualization(*this)) {}

namespace {

bool covers_everything(const Segment& s) {
  return s.base == 0 && s.limit == 0xffff'ffff && !s.is_null() && s.is_code_or_data();
}

/// CPL 3 must align its accesses (SDM vol. 3, 6.15, #AC).
bool checks_alignment(const CpuState& s) {
  return s.cpl == 3 && (s.flags.system & rflags::AC) != 0 && (s.cr0 & cr0::AM) != 0;
}

bool flat_data(const Segment& s) {
  return covers_everything(s) && !s.is_code() && !s.is_expand_down() && s.is_writable_or_readable();
}

PagingMode paging_mode_of(const CpuState& s) {
  if (!s.paging()) return PagingMode::None;
  if (s.long_mode_active()) return (s.cr4 & cr4::LA57) != 0 ? PagingMode::FiveLevel : PagingMode::FourLevel;
  return (s.cr4 & cr4::PAE) != 0 ? PagingMode::Pae : PagingMode::TwoLevel;
}

}  // namespace

void Cpu::update_mode() {
  const CpuState& s = state;
  const Segment& cs = s.segment(Seg::CS);
  const bool code64 = s.code64();
  mode.bits = code64 ? 64 : (cs.is_big() && !s.v86()) ? 32 : 16;
  mode.stack32 = s.segment(Seg::SS).is_big();
  mode.flat = code64 || (covers_everything(cs) && flat_data(s.segment(Seg::SS)) && flat_data(s.segment(Seg::DS)) &&
                         flat_data(s.segment(Seg::ES)));
  mode.protected_mode = s.protected_mode() && !s.v86();
  mode.fpu = (s.cr0 & (cr0::EM | cr0::TS)) == 0;
  mode.sse = mode.fpu && (s.cr4 & cr4::OSFXSR) != 0;
  mode.avx = (s.cr0 & cr0::TS) == 0 && avx_enabled();
  mode.cpl = s.cpl;
  mode.observed = observation.active();
  mode_key = mode.key();

  const bool user = s.cpl == 3;
  const bool access_override = (s.flags.system & rflags::AC) != 0;
  const bool watched = checks_alignment(s) || ((s.dr[7] & dr7::enables) != 0 && data_breakpoints_enabled(s));
  const TranslationRegisters registers{s.cr0, s.cr3, s.cr4, s.msr.efer, s.pkru, s.pdpte, guest_tag, pdptes_in_memory};
  if (registers == translation_registers_) {
    // Most changes are of privilege alone, on the way into and out of system calls and interrupts.
    mmu.set_privilege(user, access_override, watched);
    return;
  }
  translation_registers_ = registers;

  PagingContext context;
  context.mode = paging_mode_of(s);
  context.root = s.cr3;
  context.write_protect = (s.cr0 & cr0::WP) != 0;
  context.pse = (s.cr4 & cr4::PSE) != 0;
  context.global_pages = (s.cr4 & cr4::PGE) != 0;
  context.smep = (s.cr4 & cr4::SMEP) != 0;
  context.smap = (s.cr4 & cr4::SMAP) != 0;
  context.protection_keys = (s.cr4 & cr4::PKE) != 0 && s.long_mode_active();
  context.no_execute = (s.msr.efer & efer::NXE) != 0;
  context.pcid = (s.cr4 & cr4::PCIDE) != 0 ? static_cast<u16>(s.cr3 & 0xfff) : u16{0};
  context.pkru = s.pkru;
  context.user = user;
  context.access_override = access_override;
  context.watched = watched;
  context.pdptes = s.pdpte;
  context.pdptes_in_memory = pdptes_in_memory;
  context.guest_tag = guest_tag;
  context.physical_bits = static_cast<unsigned>(profile.physical_bits);
  context.gigabyte_pages = profile.has(Feature::Pdpe1gb);
  context.pse36 = profile.has(Feature::Pse36);
  mmu.set_context(context);
}

namespace {

/// Whether an access may be made through this segment at all (SDM vol. 3, 5.5): type rights in protected mode.
bool rights_allow(const Segment& s, AccessKind kind) {
  if (s.is_null()) return false;
  if (kind == AccessKind::Write) return !s.is_code() && s.is_writable_or_readable();
  return !s.is_code() || s.is_writable_or_readable();
}

/// Whether [offset, offset + size) lies within the limit; expand-down segments hold the addresses above it.
bool within_limit(const Segment& s, u64 offset, unsigned size) {
  const u64 last = offset + size - 1;
  if (!s.is_code() && s.is_expand_down()) {
    const u64 top = s.is_big() ? 0xffff'ffff : 0xffff;
    return offset > s.limit && last <= top;
  }
  return last <= s.limit;
}

}  // namespace

bool Cpu::to_linear_slow(Seg s, u64 offset, unsigned size, AccessKind kind, u64& linear) {
  const Segment& segment = state.segment(s);
  const Vector vector = s == Seg::SS ? Vector::SS : Vector::GP;
  if (mode.bits == 64) {
    linear = offset + (s >= Seg::FS ? segment.base : 0);
    const unsigned width = (state.cr4 & cr4::LA57) != 0 ? 57 : 48;
    if (!is_canonical(linear, width) || !is_canonical(linear + size - 1, width)) return raise(vector, 0);
    return true;
  }
  if (mode.protected_mode && !rights_allow(segment, kind)) return raise(vector, 0);
  // A segment of 4 GiB wraps on Intel's processors since the Pentium 4 (SDM vol. 3, 22.34); AMD's fault at its end.
  if (!within_limit(segment, offset, size) &&
      !(segment.limit == 0xffff'ffff && !segment.is_expand_down() && profile.intel()))
    return raise(vector, 0);
  linear = static_cast<u32>(segment.base + offset);
  return true;
}

namespace {

/// The (at most two) host-physical pieces of an access: translation of both comes before anything is read or written.
struct Pieces {
  std::array<HostPhysical, 2> address;
  std::array<unsigned, 2> size;
};

bool misaligned(const Cpu& cpu, u64 linear, unsigned size) {
  const unsigned alignment = size >= 8 ? 8 : size;
  return checks_alignment(cpu.state) && std::has_single_bit(alignment) && (linear & (alignment - 1)) != 0;
}

bool translate_pieces(Cpu& cpu, u64 linear, unsigned size, const Access& access, Pieces& pieces) {
  const unsigned first = std::min<u64>(size, page_size - (linear & (page_size - 1)));
  pieces.size = {first, size - first};
  if (const auto fault = cpu.mmu.translate(Linear(linear), access, pieces.address[0])) return cpu.raise(*fault);
  if (first == size) return true;
  u64 second = linear + first;
  if (!cpu.state.code64())
    second = static_cast<u32>(second);
  else if (!is_canonical(second, (cpu.state.cr4 & cr4::LA57) != 0 ? 57 : 48))
    return cpu.raise(Vector::GP, 0);
  if (const auto fault = cpu.mmu.translate(Linear(second), access, pieces.address[1])) return cpu.raise(*fault);
  return true;
}

void log_pieces(Cpu& cpu, u64 linear, const Pieces& pieces, MemoryReference::Kind kind) {
  for (unsigned i = 0, done = 0; i < 2 && pieces.size[i] != 0; done += pieces.size[i++]) {
    const auto bytes = static_cast<u16>(pieces.size[i]);
    cpu.observation.log().add({linear + done, pieces.address[i], bytes, kind, false, 0, 0, cpu.mmu.last_outcome()});
  }
}

/// Storing these bytes changes nothing, and nobody waits for it: code that is written anew with what it is stays decoded.
bool holds(const PhysicalMemory& memory, HostPhysical address, const u8* bytes, unsigned size) {
  const PhysicalMemory::Page page = memory.page(address);
  return !memory.is_watched(address, size) && page.host != nullptr &&
         std::memcmp(page.host + address.page_offset(), bytes, size) == 0;
}

}  // namespace

Access Cpu::data_access(AccessKind kind, Privilege privilege) const {
  const bool system = privilege == Privilege::System;
  return {kind, state.cpl == 3 && !system, system};
}

void Cpu::log_run(u64 linear, const u8* host, u64 bytes, MemoryReference::Kind kind) {
  constexpr u64 line = 64;
  for (u64 done = 0; done < bytes;) {
    const u64 step = std::min(line - ((linear + done) & (line - 1)), bytes - done);
    log_held(linear + done, host + done, static_cast<unsigned>(step), kind, mmu.held_outcome(linear + done));
    done += step;
  }
}

bool Cpu::read_slow(u64 linear, void* out, unsigned size, Privilege privilege) {
  if (privilege == Privilege::Current && misaligned(*this, linear, size)) return raise(Vector::AC, 0);
  Pieces pieces;
  if (!translate_pieces(*this, linear, size, data_access(AccessKind::Read, privilege), pieces)) return false;
  std::array<u8, 64> bytes;
  unsigned done = 0;
  for (unsigned i = 0; i < 2 && pieces.size[i] != 0; done += pieces.size[i], ++i) {
    const PhysicalMemory::Page page = memory.page(pieces.address[i]);
    if (is_trapped(pieces.address[i])) [[unlikely]] {
      if (!trapped_read(linear + done, pieces.address[i], pieces.size[i], bytes.data() + done)) return false;
    } else if (page.host != nullptr) {
      std::memcpy(bytes.data() + done, page.host + pieces.address[i].page_offset(), pieces.size[i]);
    } else if (!device_read(pieces.address[i], {bytes.data() + done, pieces.size[i]})) {
      return false;
    }
  }
  std::memcpy(out, bytes.data(), size);
  if (observation.active()) log_pieces(*this, linear, pieces, MemoryReference::Kind::Load);
  if (mmu.context().watched) note_data_access(state, linear, size, false);
  return true;
}

bool Cpu::write_slow(u64 linear, const void* data, unsigned size, Privilege privilege) {
  if (privilege == Privilege::Current && misaligned(*this, linear, size)) return raise(Vector::AC, 0);
  Pieces pieces;
  if (!translate_pieces(*this, linear, size, data_access(AccessKind::Write, privilege), pieces)) return false;
  const u8* from = static_cast<const u8*>(data);
  for (unsigned i = 0; i < 2 && !alone; ++i) {
    const u8* piece = from + (i == 0 ? 0 : pieces.size[0]);
    // What a page of registers holds says nothing: a write to one does what it does.
    if (pieces.size[i] != 0 && needs_alone(pieces.address[i], pieces.size[i]) &&
        (is_trapped(pieces.address[i]) || !holds(memory, pieces.address[i], piece, pieces.size[i]))) {
      leave = Leave::DeviceAccess;
      return false;
    }
  }
  for (unsigned i = 0; i < 2 && pieces.size[i] != 0; from += pieces.size[i], ++i) {
    const PhysicalMemory::Page page = memory.page(pieces.address[i]);
    if (is_trapped(pieces.address[i])) [[unlikely]] {
      if (!guest->write_apic_page(linear, pieces.address[i].page_offset(), pieces.size[i], from)) return false;
    } else if (page.host == nullptr) {
      device_write(pieces.address[i], {from, pieces.size[i]});
    } else if (page.writable) {
      const bool code = memory.has_code(pieces.address[i], pieces.size[i]);
      if (code && !holds(memory, pieces.address[i], from, pieces.size[i])) {
        memory.write(pieces.address[i], {from, pieces.size[i]});
      } else {
        std::memcpy(page.host + pieces.address[i].page_offset(), from, pieces.size[i]);
      }
    }
  }
  if (observation.active()) log_pieces(*this, linear, pieces, MemoryReference::Kind::Store);
  if (mmu.context().watched) note_data_access(state, linear, size, true);
  return true;
}

bool Cpu::trapped_read(u64 linear, HostPhysical address, unsigned size, void* data) {
  if (!alone) {
    leave = Leave::DeviceAccess;
    return false;
  }
  return guest->read_apic_page(linear, address.page_offset(), size, false, data);
}

bool Cpu::translate_fetch(u64 linear, HostPhysical& physical) {
  left_length = 0;
  if (const auto refused = mmu.translate(Linear(linear), {AccessKind::Execute, state.cpl == 3, false}, physical))
    return raise(*refused);
  if (!is_trapped(physical)) [[likely]]
    return true;
  return guest->read_apic_page(linear, physical.page_offset(), 1, true, nullptr);
}

bool Cpu::needs_alone(HostPhysical address, u64 size) const {
  return is_trapped(address) || memory.page(address).host == nullptr || memory.has_code(address, size);
}

void Cpu::arm_monitor(HostPhysical address) {
  disarm_monitor();
  if (!memory.page(address).writable) return;
  const u64 line = address.value & ~u64{PhysicalMemory::watch_bytes - 1};
  state.monitored_line = line;
  memory.watch_line(HostPhysical(line));
}

void Cpu::disarm_monitor() {
  if (state.monitored_line == CpuState::no_line) return;
  memory.unwatch_line(HostPhysical(state.monitored_line));
  state.monitored_line = CpuState::no_line;
}

void Cpu::note_store(HostPhysical address, u64 size) {
  const u64 line = state.monitored_line;
  if (line == CpuState::no_line || line >= address.value + size ||
      address.value >= line + PhysicalMemory::watch_bytes) {
    return;
  }
  disarm_monitor();
  if (state.activity == Activity::Monitoring) state.activity = Activity::Active;
}

bool Cpu::probe_write(Seg s, u64 offset, unsigned size) {
  u64 linear = 0;
  return to_linear(s, offset, size, AccessKind::Write, linear) && probe_write_linear(linear, size);
}

bool Cpu::probe_write_linear(u64 linear, unsigned size) {
  if (mmu.held().write(linear, size) != nullptr) return true;
  if (misaligned(*this, linear, size)) return raise(Vector::AC, 0);
  Pieces pieces;
  if (!translate_pieces(*this, linear, size, data_access(AccessKind::Write, Privilege::Current), pieces)) return false;
  for (unsigned i = 0; i < 2 && pieces.size[i] != 0; ++i) {
    if (!alone && needs_alone(pieces.address[i], pieces.size[i])) {
      leave = Leave::DeviceAccess;
      return false;
    }
  }
  return true;
}

namespace {

/// Makes a device access at the core's own time, and charges the core what it takes.
template <class Work>
void at_core_time(Cpu& cpu, Work access) {
  cpu.accessed_device = true;
  cpu.environment.set_local_time(cpu.now());
  const SimTime start = cpu.now() - cpu.environment.platform_time();
  SimTime delay = start;
  access(delay);
  cpu.stall_cycles += Clock{cpu.profile.frequency}.ticks(delay - start);
}

}  // namespace

template <class Transfer>
void Cpu::on_device(HostPhysical address, unsigned size, Transfer transfer) {
  at_core_time(*this, [&](SimTime& delay) {
    for (unsigned done = 0; done < size;) {
      unsigned step = 8;
      while (step > size - done || ((address.value + done) & (step - 1)) != 0) step /= 2;
      transfer(address.value + done, done, step, delay);
      done += step;
    }
  });
}

bool Cpu::is_apic_page(HostPhysical address) const {
  return apic.mmio_enabled() && address.page().value == apic.mmio_base();
}

bool Cpu::device_read(HostPhysical address, std::span<u8> data) {
  if (!alone) {
    leave = Leave::DeviceAccess;
    return false;
  }
  on_device(address, static_cast<unsigned>(data.size()), [&](u64 at, unsigned done, unsigned size, SimTime& delay) {
    const u64 value =
        is_apic_page(address) ? apic.read(0, at & 0xfff, size) : bus.read(BusSpace::Memory, at, size, delay);
    std::memcpy(data.data() + done, &value, size);
  });
  return true;
}

void Cpu::device_write(HostPhysical address, std::span<const u8> data) {
  on_device(address, static_cast<unsigned>(data.size()), [&](u64 at, unsigned done, unsigned size, SimTime& delay) {
    u64 value = 0;
    std::memcpy(&value, data.data() + done, size);
    if (is_apic_page(address)) {
      apic.write(0, at & 0xfff, size, value);
    } else {
      bus.write(BusSpace::Memory, at, size, value, delay);
    }
  });
}

bool Cpu::port_read(u16 port, unsigned size, u32& value) {
  if (!alone) {
    leave = Leave::DeviceAccess;
    return false;
  }
  at_core_time(*this, [&](SimTime& delay) { value = static_cast<u32>(bus.read(BusSpace::Io, port, size, delay)); });
  return true;
}

bool Cpu::port_write(u16 port, unsigned size, u32 value) {
  if (!alone) {
    leave = Leave::DeviceAccess;
    return false;
  }
  at_core_time(*this, [&](SimTime& delay) { bus.write(BusSpace::Io, port, size, value, delay); });
  return true;
}

bool Cpu::check_port_permission(u16 port, unsigned size) {
  if (!state.protected_mode() || (state.cpl <= state.iopl() && !state.v86())) return true;
  // The TSS must be a 32-bit (or 64-bit) one that holds the map's two bytes (SDM vol. 1, 18.5.2).
  const Segment& tr = state.tr;
  if (tr.is_null() || (tr.type() & 0xd) != 9 || tr.limit < 0x67) return raise(Vector::GP, 0);
  // Linear addresses are 32 bits wide outside IA-32e mode.
  const u64 base_mask = state.long_mode_active() ? ~u64{0} : 0xffff'ffff;
  u16 map_base = 0;
  if (!load_system((tr.base + 0x66) & base_mask, map_base)) return false;
  const u32 byte = u32{map_base} + port / 8u;
  if (byte + 1 > tr.limit) return raise(Vector::GP, 0);
  u16 map = 0;
  if (!load_system((tr.base + byte) & base_mask, map)) return false;
  const u16 mask = static_cast<u16>(((1u << size) - 1) << (port & 7));
  return (map & mask) == 0 || raise(Vector::GP, 0);
}

}  // namespace bunshin
