// A hypervisor on VT-x: VMXON, a VMCS written field by field, VMLAUNCH; behind each exit, and each entry that failed, a field is
// written and one is read, some instructions of VMX run, and the guest is entered again.

#include <map>

#include "core/virt/vmx/fields.h"
#include "tests/fuzz/hostile_vmx_controls.h"

namespace bunshin::fuzz {

using namespace layout;
using namespace vmx;

namespace {

constexpr u8 mov_eax_1[] = {0xb8, 1, 0, 0, 0}, mov_eax_2[] = {0xb8, 2, 0, 0, 0}, mov_eax_0[] = {0x31, 0xc0},
             mov_eax_3[] = {0xb8, 3, 0, 0, 0}, invept[] = {0x66, 0x0f, 0x38, 0x80, 0x03},
             invvpid[] = {0x66, 0x0f, 0x38, 0x81, 0x03}, vmptrst[] = {0x0f, 0xc7, 0x3b},
             vmclear[] = {0x66, 0x0f, 0xc7, 0x34, 0x25, 0x20, 0x60, 0, 0},
             vmptrld_other[] = {0x0f, 0xc7, 0x34, 0x25, 0x20, 0x60, 0, 0},
             vmptrld[] = {0x0f, 0xc7, 0x34, 0x25, 0x10, 0x60, 0, 0}, vmcall[] = {0x0f, 0x01, 0xc1},
             vmread_memory[] = {0x0f, 0x78, 0x13}, vmwrite_memory[] = {0x0f, 0x79, 0x13},
             // mov dword [rbp + 300h]: an interrupt, an NMI, an INIT to itself
    interrupt[] = {0xc7, 0x85, 0x00, 0x03, 0, 0, 0x51, 0x40, 0x04, 0},
             nmi[] = {0xc7, 0x85, 0x00, 0x03, 0, 0, 0, 0x44, 0, 0},
             init[] = {0xc7, 0x85, 0x00, 0x03, 0, 0, 0, 0x45, 0, 0}, take[] = {0xfb, 0x90, 0xfa};
constexpr std::span<const u8> phrases[] = {
    mov_eax_1, mov_eax_2, mov_eax_0, mov_eax_3,     invept,         invvpid, vmptrst, vmclear,   vmptrld_other,
    vmptrld,   vmcall,    interrupt, vmread_memory, vmwrite_memory, nmi,     init,    interrupt, take};

class VmxWorld : public HostileWorld {
 public:
  VmxWorld(Cpu& cpu, Input& input) : HostileWorld(cpu.memory, input), cpu_(cpu), can_(cpu.profile) {}

  void make() {
    constexpr u64 all_rights = 7, write_back = 6 << 3;
    tables(all_rights, write_back);
    for (const u64 region : {control, vmxon_region, other_region}) put<u32>(region, can_.revision());
    put<u64>(change_pointer + 0x10, control);
    put<u64>(change_pointer + 0x18, vmxon_region);
    put<u64>(change_pointer + 0x20, other_region);
    // Behind the instructions that enter: RBX is a descriptor of INVEPT and INVVPID, and memory for VMREAD.
    put<u64>(pages + 0x6000, input_.byte() % 2 == 0 ? nested + 0x1e : input_.byte() % 3);
    put<u64>(pages + 0x6008, guest_code);
    const unsigned fields = fill_list();
    hypervisor(fields);
    guest_instructions();
  }

 private:
  void hypervisor(unsigned fields);
  void write_controls();
  void write_host();
  void write_guest();
  void write_segments();
  void inject();
  unsigned fill_list();

  void field(Field f, u64 value) {
    if (count_ >= changes) return;
    put<u64>(change_list + count_ * 16, static_cast<u64>(f));
    put<u64>(change_list + count_ * 16 + 8, value);
    ++count_;
    values_[f] = value;
  }
  void go_on() { field(Field::GuestRip, (is_16_bit(mode_) ? 0 : guest_code) + input_.byte()); }
  Field hostile_field();
  u64 value_of(Field f) const;

  Cpu& cpu_;
  const Capabilities can_;
  GuestMode mode_ = GuestMode::Long;
  Controls c_;
  unsigned count_ = 0;
  std::map<Field, u64> values_;
};

void VmxWorld::hypervisor(unsigned fields) {
  // vmxon [pointer + 18h]; vmclear [pointer + 10h]; vmptrld [pointer + 10h]; mov ebp, the local APIC; [rbp + 0f0h] = 1ffh
  bytes(host_code, {0xf3, 0x0f, 0xc7, 0x34, 0x25, 0x18, 0x60, 0, 0});
  bytes(host_code + 9, {0x66, 0x0f, 0xc7, 0x34, 0x25, 0x10, 0x60, 0, 0});
  bytes(host_code + 18, vmptrld);
  bytes(host_code + 26, {0xbd, 0, 0, 0xe0, 0xfe, 0xc7, 0x85, 0xf0, 0, 0, 0, 0xff, 1, 0, 0});
  // mov esi, list; mov ecx, count; 1: lodsq; mov rdx, rax; lodsq; vmwrite rdx, rax; loop 1b; mov [pointer], rsi; vmlaunch
  bytes(host_code + 41, {0xbe, 0, 0x40, 0, 0, 0xb9});
  put<u32>(host_code + 47, fields);
  bytes(host_code + 51, {0x48, 0xad, 0x48, 0x89, 0xc2, 0x48, 0xad, 0x0f, 0x79, 0xd0, 0xe2, static_cast<u8>(-12)});
  bytes(host_code + 63, {0x48, 0x89, 0x34, 0x25, 0, 0x60, 0, 0, 0xbf, 0, 0x80, 1, 0, 0x0f, 0x01, 0xc2});
  // mov esi, pointer; mov rdi, [rsi]; add qword [rsi], 16; mov rdx, [rdi]; mov rax, [rdi + 8]; vmwrite; vmread
  static constexpr u8 change_one[] = {0xbe, 0,    0x60, 0,    0,    0x48, 0x8b, 0x3e, 0x48, 0x83, 0x06, 0x10, 0x48,
                                      0x8b, 0x17, 0x48, 0x8b, 0x47, 8,    0x0f, 0x79, 0xd0, 0x0f, 0x78, 0xd0};
  constexpr u64 entry_failed = host_code + 79, room = 64;
  for (const u64 at : {entry_failed, exit_handler}) {
    bytes(at, change_one);
    // mov ebx, memory; mov ebp, the local APIC; instructions; mov edi, the APIC-access page; vmresume; vmlaunch; jmp back
    u64 next = at + sizeof change_one;
    bytes(next, {0xbb, 0, 0xe0, 1, 0, 0xbd, 0, 0, 0xe0, 0xfe});
    host_instructions(next + 10, phrases);
    next += 10 + room;
    bytes(next, {0xbf, 0, 0x90, 1, 0, 0x0f, 0x01, 0xc3, 0x0f, 0x01, 0xc2, 0xe9});
    put<u32>(next + 12, static_cast<u32>(at - (next + 16)));
  }
}

void VmxWorld::write_controls() {
  field(Field::PinControls, c_.pin);
  field(Field::PrimaryControls, c_.primary);
  if (c_.has(primary::secondary)) field(Field::SecondaryControls, c_.secondary);
  field(Field::ExitControls, c_.exit);
  field(Field::EntryControls, c_.entry);
  for (const Field f :
       {Field::PageFaultMask, Field::PageFaultMatch, Field::Cr3TargetCount, Field::ExitMsrStoreCount,
        Field::ExitMsrLoadCount, Field::EntryMsrLoadCount, Field::EntryInterruption, Field::TprThreshold,
        Field::GuestInterruptibility, Field::GuestActivity, Field::GuestPendingDebug, Field::GuestDebugctl}) {
    field(f, 0);
  }
  field(Field::ExceptionBitmap, input_.dword());
  for (const Field f : {Field::Cr0Mask, Field::Cr4Mask, Field::Cr0Shadow, Field::Cr4Shadow})
    field(f, input_.byte() % 2 == 0 ? 0 : input_.dword());
  field(Field::IoBitmapA, maps);
  field(Field::IoBitmapB, maps + 0x1000);
  field(Field::MsrBitmaps, maps + 0x2000);
  field(Field::VmreadBitmap, maps + 0x3000);
  field(Field::VmwriteBitmap, maps + 0x4000);
  field(Field::VirtualApicAddress, pages);
  field(Field::ApicAccessAddress, pages + 0x1000);
  field(Field::PmlAddress, pages + 0x2000);
  field(Field::PmlIndex, input_.byte());
  field(Field::VirtualizationExceptionInformation, pages + 0x3000);
  field(Field::PostedInterruptDescriptor, pages + 0x4000);
  field(Field::PostedInterruptVector, 0x51);
  field(Field::EptpListAddress, pages + 0x5000);
  field(Field::VmFunctionControls, c_.also(secondary::ept) ? input_.byte() & can_.vm_functions : 0);
  constexpr u64 four_levels_write_back = 0x1e;
  const u64 flags = input_.byte() % 2 == 0 ? 0 : can_.ept_vpid >> 21 << 6 & eptp::accessed_dirty;
  field(Field::EptPointer, nested + four_levels_write_back + flags);
  put<u64>(pages + 0x5000, nested + four_levels_write_back + flags);
  field(Field::VirtualProcessorId, 1 + input_.byte() % 3);
  field(Field::PreemptionTimerValue, input_.byte());
  field(Field::TscMultiplier, u64{1} << 48);
  field(Field::VmcsLinkPointer, c_.also(secondary::shadow_vmcs) && input_.byte() % 2 == 0 ? other_region : no_vmcs);
  if (c_.also(secondary::shadow_vmcs)) put<u32>(other_region, can_.revision() | shadow_indicator);
}

void VmxWorld::write_host() {
  const CpuState& s = cpu_.state;
  field(Field::HostCr0, s.cr0);
  field(Field::HostCr3, host_tables);
  field(Field::HostCr4, s.cr4);
  field(Field::HostCs, 0x08);
  for (const Field f : {Field::HostSs, Field::HostDs, Field::HostEs}) field(f, 0x10);
  field(Field::HostTr, 0x28);
  field(Field::HostGdtrBase, gdt);
  field(Field::HostIdtrBase, idt);
  field(Field::HostPat, s.msr.pat);
  field(Field::HostEfer, s.msr.efer);
  field(Field::HostRsp, host_stack);
  field(Field::HostRip, exit_handler);
}

void VmxWorld::write_segments() {
  constexpr u64 code64 = 0xa09b, code32 = 0xc09b, data = 0xc093, busy_task = 0x8b, unusable = 0x1'0000;
  const bool v86 = mode_ == GuestMode::Virtual8086;
  for (unsigned i = 0; i < 6; ++i) {
    const bool code = i == static_cast<unsigned>(Seg::CS);
    const u64 small = v86 ? 0xf3 : code ? 0x9b : 0x93;
    field(Field::GuestEs + i, is_16_bit(mode_) ? guest_code >> 4 : !code ? 0x10 : mode_ == GuestMode::Long ? 8 : 0x18);
    field(Field::GuestEsBase + i, is_16_bit(mode_) ? guest_code : 0);
    field(Field::GuestEsLimit + i, is_16_bit(mode_) ? 0xffff : 0xffff'ffff);
    field(Field::GuestEsRights + i, is_16_bit(mode_)           ? small
                                    : !code                    ? data
                                    : mode_ == GuestMode::Long ? code64
                                                               : code32);
  }
  field(Field::GuestLdtrRights, unusable);
  field(Field::GuestTr, 0x28);
  field(Field::GuestTrBase, task);
  field(Field::GuestTrLimit, 0x67);
  field(Field::GuestTrRights, busy_task);
  field(Field::GuestGdtrBase, gdt);
  field(Field::GuestGdtrLimit, 0x3f);
  field(Field::GuestIdtrBase, mode_ == GuestMode::Real ? vectors16 : idt);
  field(Field::GuestIdtrLimit, 0xfff);
}

void VmxWorld::write_guest() {
  const CpuState& s = cpu_.state;
  const u64 removed = has_paging(mode_) ? 0 : mode_ == GuestMode::Real ? cr0::PG | cr0::PE : u64{cr0::PG};
  field(Field::GuestCr0, s.cr0 & ~removed);
  field(Field::GuestCr3, is_long(mode_) ? guest_pages : pae_pages);
  field(Field::GuestCr4, s.cr4);
  field(Field::GuestPdpte0, pae_pages + 0x1001);
  field(Field::GuestPat, s.msr.pat);
  field(Field::GuestEfer, is_long(mode_) ? s.msr.efer : s.msr.efer & ~(efer::LME | efer::LMA));
  field(Field::GuestDr7, 0x400);
  field(Field::GuestRip, is_16_bit(mode_) ? 0 : guest_code);
  field(Field::GuestRsp, guest_stack - (is_16_bit(mode_) ? guest_code : 0));
  u64 flags = rflags::fixed;
  if (mode_ == GuestMode::Virtual8086) flags |= rflags::VM;
  if (input_.byte() % 2 == 0) flags |= rflags::IF;
  if (input_.byte() % 8 == 0) flags |= rflags::TF;
  field(Field::GuestRflags, flags);
  write_segments();
}

/// An event of any kind, most often one that the checks let pass.
void VmxWorld::inject() {
  if (input_.byte() % 4 != 0) return;
  constexpr u32 with_code = 0x0002'7d00;
  u32 information = interruption::valid | input_.word() % 0x700;
  const u32 type = interruption::type_of(information);
  if (type == 1 || (type == interruption::external && (value_of(Field::GuestRflags) & rflags::IF) == 0)) return;
  if (type == interruption::nmi) information = (information & ~0xffu) | 2;
  if (type == interruption::hardware) {
    information &= ~0xe0u;
    if (mode_ != GuestMode::Real && (with_code >> (information & 0x1f) & 1) != 0)
      information |= interruption::error_code;
  }
  field(Field::EntryInterruption, information);
  field(Field::EntryErrorCode, input_.byte());
  field(Field::EntryInstructionLength, 1 + input_.byte() % 4);
}

/// Fields of a guest that could run, then the input's; returns how many are written before the first entry.
unsigned VmxWorld::fill_list() {
  constexpr GuestMode modes[] = {GuestMode::Long, GuestMode::Long,        GuestMode::Compatibility,
                                 GuestMode::Pae,  GuestMode::Virtual8086, GuestMode::Protected,
                                 GuestMode::Real, GuestMode::Long};
  mode_ = input_.pick(modes);
  c_ = choose_controls(can_, mode_, input_);
  // Most first entries are to succeed.
  if (input_.byte() % 16 != 0) repair(c_);
  write_controls();
  write_host();
  write_guest();
  inject();
  const unsigned own = input_.byte() % 4;
  for (unsigned i = 0; i < own; ++i) hostile_field();
  const unsigned first = count_;
  while (count_ < changes) {
    if (is_hostile()) {
      const Field changed = hostile_field();
      go_on();
      if (input_.byte() % 8 != 0) field(changed, value_of(changed));
    }
    go_on();
  }
  return std::min(first, changes);
}

/// One that holds what the input says, until it is put right again.
Field VmxWorld::hostile_field() {
  const std::span<const FieldRow> all = field_rows();
  const Field f = all[input_.byte() % all.size()].field;
  if (count_ >= changes) return f;
  put<u64>(change_list + count_ * 16, static_cast<u64>(f));
  put<u64>(change_list + count_ * 16 + 8, input_.number(1 + input_.byte() % 8));
  ++count_;
  return f;
}

/// What the guest that could run has in this field.
u64 VmxWorld::value_of(Field f) const {
  const auto found = values_.find(f);
  return found == values_.end() ? 0 : found->second;
}

}  // namespace

void make_vmx_world(Cpu& cpu, Input& input) {
  cpu.state.cr0 |= cr0::NE;
  cpu.state.cr4 |= cr4::VMXE;
  cpu.state.msr.feature_control = 5;
  VmxWorld(cpu, input).make();
}

}  // namespace bunshin::fuzz
