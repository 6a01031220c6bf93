// A hypervisor on AMD-V: a VMCB, VMRUN; behind each exit eight bytes of the VMCB are written, some instructions of SVM run, and the
// guest is entered again.

#include <cstring>

#include "core/system/msr.h"
#include "core/virt/svm/exit_code.h"
#include "core/virt/svm/vmcb.h"
#include "tests/fuzz/hostile_world.h"

namespace bunshin::fuzz {

using namespace layout;
using namespace svm;

namespace {

constexpr u8 vmload[] = {0x0f, 0x01, 0xda}, vmsave[] = {0x0f, 0x01, 0xdb}, stgi[] = {0x0f, 0x01, 0xdc},
             clgi[] = {0x0f, 0x01, 0xdd}, invlpga[] = {0x0f, 0x01, 0xdf}, skinit[] = {0x0f, 0x01, 0xde},
             // mov dword [control + 5ch], ...
    flush_all[] = {0xc7, 0x04, 0x25, 0x5c, 0, 1, 0, 1, 0, 0, 0},
             flush_guest[] = {0xc7, 0x04, 0x25, 0x5c, 0, 1, 0, 3, 0, 0, 0},
             flush_local[] = {0xc7, 0x04, 0x25, 0x5c, 0, 1, 0, 7, 0, 0, 0},
             // mov dword [control + 0c0h], ...: clean bits
    all_clean[] = {0xc7, 0x04, 0x25, 0xc0, 0, 1, 0, 0xff, 0x0f, 0, 0},
             // mov dword [rbp + 300h]: an interrupt, an NMI, an INIT to itself
    interrupt[] = {0xc7, 0x85, 0x00, 0x03, 0, 0, 0x51, 0x40, 0x04, 0},
             nmi[] = {0xc7, 0x85, 0x00, 0x03, 0, 0, 0, 0x44, 0, 0},
             init[] = {0xc7, 0x85, 0x00, 0x03, 0, 0, 0, 0x45, 0, 0};
constexpr std::span<const u8> phrases[] = {vmload,    vmsave,    stgi,        clgi,        invlpga,
                                           flush_all, nmi,       flush_guest, flush_local, all_clean,
                                           skinit,    interrupt, init,        interrupt};

class SvmWorld : public HostileWorld {
 public:
  SvmWorld(Cpu& cpu, Input& input) : HostileWorld(cpu.memory, input), cpu_(cpu) {}

  void make() {
    constexpr u64 open = 7;
    tables(open, 0);
    put<u64>(change_pointer, change_list);
    choose_mode();
    fill_control();
    fill_save();
    put(control, vmcb_);
    change(control, 0x0f0, 3);
    change(control + save_area, 0x2a0, 3);
    hypervisor();
    fill_list();
    guest_instructions();
  }

 private:
  void choose_mode() {
    constexpr GuestMode modes[] = {GuestMode::Long, GuestMode::Long,        GuestMode::Compatibility,
                                   GuestMode::Pae,  GuestMode::Virtual8086, GuestMode::Protected,
                                   GuestMode::Real, GuestMode::Long};
    mode_ = input_.pick(modes);
  }
  void fill_control();
  void fill_save();
  void segments();
  void hypervisor();
  void fill_list();

  Cpu& cpu_;
  GuestMode mode_ = GuestMode::Long;
  Vmcb vmcb_;
};

void SvmWorld::fill_control() {
  VmcbControl& c = vmcb_.control;
  // Of control registers, debug registers and exceptions some, of instructions most.
  for (unsigned i = 0; i < 3; ++i) c.intercepts[i] = input_.dword() & input_.dword();
  c.intercepts[3] = ~(input_.dword() & input_.dword());
  c.intercepts[4] = 1 | input_.dword();
  c.intercepts[5] = input_.byte() & 4;
  c.pause_filter_count = input_.byte();
  c.pause_filter_threshold = input_.byte();
  c.io_map = maps;
  c.msr_map = maps + 0x3000;
  c.tsc_offset = input_.byte();
  c.asid = 1 + input_.byte() % 3;
  constexpr u32 tlb_controls[] = {0, 1, 3, 7};
  c.tlb_control = input_.pick(tlb_controls);
  // V_TPR, V_IRQ, V_GIF, V_INTR_PRIO, V_INTR_MASKING and so on as they come.
  c.virtual_interrupt = input_.number(5);
  c.nested_control = input_.byte() % 4 != 0 ? nested_paging : 0;
  c.nested_cr3 = nested;
  c.virtual_control = input_.byte() & 3;
  if (input_.byte() % 4 != 0) return;
  constexpr u64 types[] = {event_field::external, event_field::nmi, event_field::exception,
                           event_field::software_interrupt};
  const u64 type = input_.pick(types);
  const u64 vector = input_.byte();
  c.event_injection = event_field::valid | type << event_field::type_shift |
                      (type == event_field::exception && vector % 32 != 2 ? vector % 32 : vector);
  if (input_.byte() % 2 == 0) c.event_injection |= event_field::error_code_valid;
  c.next_rip = guest_code + input_.byte();
}

void SvmWorld::segments() {
  constexpr u16 code64 = 0xa9b, code32 = 0xc9b, data = 0xc93, code16 = 0x9b, data16 = 0x93, v86 = 0xf3;
  VmcbSave& s = vmcb_.save;
  const bool small = is_16_bit(mode_), is_v86 = mode_ == GuestMode::Virtual8086;
  for (VmcbSegment* segment : {&s.es, &s.ss, &s.ds, &s.fs, &s.gs}) {
    *segment = small ? VmcbSegment{static_cast<u16>(guest_code >> 4), is_v86 ? v86 : data16, 0xffff, guest_code}
                     : VmcbSegment{0x10, data, 0xffff'ffff, 0};
  }
  if (small)
    s.cs = {static_cast<u16>(guest_code >> 4), is_v86 ? v86 : code16, 0xffff, guest_code};
  else
    s.cs =
        mode_ == GuestMode::Long ? VmcbSegment{8, code64, 0xffff'ffff, 0} : VmcbSegment{0x18, code32, 0xffff'ffff, 0};
  s.gdtr = {0, 0, 0x3f, gdt};
  s.idtr = {0, 0, 0xfff, mode_ == GuestMode::Real ? vectors16 : idt};
  s.tr = {0x28, 0x8b, 0x67, task};
  s.cpl = is_v86 ? 3 : 0;
}

void SvmWorld::fill_save() {
  VmcbSave& s = vmcb_.save;
  const CpuState& host = cpu_.state;
  segments();
  s.efer = is_long(mode_) ? host.msr.efer : host.msr.efer & ~(efer::LME | efer::LMA);
  s.cr0 = host.cr0;
  if (!has_paging(mode_)) s.cr0 &= ~cr0::PG;
  if (mode_ == GuestMode::Real) s.cr0 &= ~cr0::PE;
  s.cr3 = is_long(mode_) ? guest_pages : pae_pages;
  s.cr4 = host.cr4;
  s.dr6 = 0xffff'0ff0;
  s.dr7 = 0x400;
  s.rflags = rflags::fixed;
  if (mode_ == GuestMode::Virtual8086) s.rflags |= rflags::VM;
  if (input_.byte() % 2 == 0) s.rflags |= rflags::IF;
  if (input_.byte() % 8 == 0) s.rflags |= rflags::TF;
  s.rip = is_16_bit(mode_) ? 0 : guest_code;
  s.rsp = guest_stack - (is_16_bit(mode_) ? guest_code : 0);
  s.pat = host.msr.pat;
}

void SvmWorld::hypervisor() {
  // mov ebp, the local APIC; [rbp + 0f0h] = 1ffh
  bytes(host_code, {0xbd, 0, 0, 0xe0, 0xfe, 0xc7, 0x85, 0xf0, 0, 0, 0, 0xff, 1, 0, 0});
  // mov eax, control; mov edi, memory; vmrun
  constexpr u64 again = host_code + 15;
  bytes(again, {0xb8, 0, 0, 1, 0, 0xbf, 0, 0x90, 1, 0, 0x0f, 0x01, 0xd8});
  // mov esi, pointer; mov rdi, [rsi]; add qword [rsi], 16; mov edx, [rdi]; and edx, 0ff8h; mov rax, [rdi + 8]
  // mov [rdx + control], rax; mov ebp, the local APIC; mov ecx, 1; mov eax, control
  bytes(again + 13, {0xbe, 0,    0x60, 0,    0,    0x48, 0x8b, 0x3e, 0x48, 0x83, 0x06, 0x10, 0x8b, 0x17, 0x81, 0xe2,
                     0xf8, 0x0f, 0,    0,    0x48, 0x8b, 0x47, 8,    0x48, 0x89, 0x82, 0,    0,    1,    0,    0xbd,
                     0,    0,    0xe0, 0xfe, 0xb9, 1,    0,    0,    0,    0xb8, 0,    0,    1,    0});
  constexpr u64 slot = again + 13 + 46, room = 64;
  host_instructions(slot, phrases);
  // stgi; clgi; jmp again
  bytes(slot + room, {0x0f, 0x01, 0xdc, 0x0f, 0x01, 0xdd, 0xe9});
  put<u32>(slot + room + 7, static_cast<u32>(again - (slot + room + 11)));
}

void SvmWorld::fill_list() {
  constexpr u64 rip_at = save_area + offsetof(VmcbSave, rip);
  unsigned count = 0;
  const auto add = [&](u64 at, u64 value) {
    if (count == changes) return;
    put<u64>(change_list + count * 16, at);
    put<u64>(change_list + count * 16 + 8, value);
    ++count;
  };
  const auto go_on = [&] { add(rip_at, (is_16_bit(mode_) ? 0 : guest_code) + input_.byte()); };
  while (count < changes) {
    if (is_hostile()) {
      const u64 at = input_.byte() % 2 == 0 ? input_.byte() & 0xf8 : save_area + input_.word() % 0x290;
      add(at, input_.number(1 + input_.byte() % 8));
      go_on();
      u64 good = 0;
      std::memcpy(&good, reinterpret_cast<const u8*>(&vmcb_) + at, sizeof good);
      if (input_.byte() % 8 != 0) add(at, good);
    }
    go_on();
  }
}

}  // namespace

void make_svm_world(Cpu& cpu, Input& input) {
  cpu.state.msr.efer |= efer::SVME;
  static_cast<void>(write_msr(cpu, 0xc001'0117, vmxon_region));
  SvmWorld(cpu, input).make();
}

}  // namespace bunshin::fuzz
