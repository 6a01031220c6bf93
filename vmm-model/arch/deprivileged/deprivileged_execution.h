#pragma once

// A guest's processor where the hardware has none to give: the guest's kernel and its programs run in user state, what the kernel
// may do and they may not faults, and is performed here (CHAPTER S9). As on Xen's 64-bit paravirtual guests, kernel and programs
// have page tables of their own; the hypervisor is kept from both by supervisor pages alone, and takes 2 MiB of linear memory.

#include "vmm-model/arch/deprivileged/code_cache.h"
#include "vmm-model/arch/deprivileged/code_scanner.h"
#include "vmm-model/arch/deprivileged/descriptor_tables.h"
#include "vmm-model/emulate/emulator.h"

namespace bunshin::vmm::deprivileged {

class DeprivilegedExecution final : public GuestExecution, public SoftwareProcessor {
 public:
  DeprivilegedExecution(Hardware& hardware, PagePool& pool)
      : hardware_(hardware),
        pool_(pool),
        linear_(hardware),
        tables_(hardware, linear_),
        scanner_(hardware, linear_),
        state_(*hardware.user_state()) {}
  /// False: no memory left.
  bool start(const std::array<HostPhysical, switch_area::shared_pages>& shared);

  // GuestExecution
  u64 get(StateField field) override { return fields_[static_cast<unsigned>(field)]; }
  void set(StateField field, u64 value) override;
  SegmentState segment(SegmentName name) override { return segments_[static_cast<unsigned>(name)]; }
  void set_segment(SegmentName name, const SegmentState& state) override;
  void use_second_stage(HostPhysical) override {}
  SecondStageFormat second_stage_format() const override { return SecondStageFormat::None; }
  void use_shadow(HostPhysical root) override { set_root(kernel, root); }
  bool keeps_translations() const override { return false; }
  void intercept_invlpg(bool) override {}
  // Every entry loads CR3, and no page of the guest's is global: the processor keeps nothing but the root's entries.
  void flush_translations() override { pointers_stale_ = {true, true}; }
  void flush_page(Linear address) override { linear_.forget(static_cast<u32>(address.value)); }
  void inject(const Event& event) override { pending_ = event; }
  bool event_pending() override { return static_cast<bool>(pending_); }
  void request_interrupt_window(bool wanted) override { window_ = wanted; }
  SoftwareProcessor* software() override { return this; }
  Exit enter() override;

  // SoftwareProcessor
  std::array<UserStateTime, 2> user_state_time() const override { return times_; }
  bool attach(GuestMemory& memory, GuestPaging& paging, bool scan) override;
  void use_user_shadow(HostPhysical root) override { set_root(user, root); }
  Event complete(const Exit& exit) override;
  bool holds_code(GuestPhysical page) override { return scanner_.is_code(page); }
  void restore_code(GuestPhysical address, std::span<u8> bytes) override { scanner_.restore(address, bytes); }
  bool traps_writes(GuestPhysical page) override {
    return (tables_.traps(page) && page != opened_) || scanner_.is_code(page);
  }
  void memory_written(GuestPhysical address, u64 bytes) override;
  bool give_up(GuestPhysical page) override;
  void restrict_cpuid(u32 leaf, CpuidResult& result) const override;

 private:
  enum View : unsigned { kernel, user };

  u64& field(StateField name) { return fields_[static_cast<unsigned>(name)]; }
  const SegmentState& seg(SegmentName name) const { return segments_[static_cast<unsigned>(name)]; }
  SegmentState& change(SegmentName name) {
    const unsigned number = static_cast<unsigned>(name);
    if (number < selectors_[kernel].size()) changed_[kernel][number] = changed_[user][number] = true;
    return segments_[number];
  }
  void set_root(View of, HostPhysical root) {
    roots_[of] = root;
    pointers_stale_[of] = true;
  }
  unsigned cpl() { return static_cast<unsigned>(field(StateField::cpl)); }
  unsigned io_privilege() { return static_cast<unsigned>(field(StateField::rflags) >> 12 & 3); }
  View view() { return cpl() == 3 ? user : kernel; }
  unsigned code_bits() { return (seg(SegmentName::cs).attributes & segment::DB) != 0 ? 32 : 16; }
  u32 rip() { return static_cast<u32>(field(StateField::rip)); }
  void advance();

  // Entry (deprivileged_execution.cpp).
  void refresh_tables();
  void prepare_code();
  HostPhysical load_pointers();
  void find_selectors();
  void load_user_state();
  bool can_be_entered();
  void save_user_state();
  void save_segments();
  void close_page();
  void descriptors_written(GuestPhysical address, u64 bytes);
  static constexpr unsigned most_hot_writes = 512;

  // Exit (deprivileged_exit.cpp).
  Exit read_exit();
  Exit page_fault();
  bool store_to_table(u32 linear);
  Exit other_exception(u8 vector);
  bool fetch(Code& code);
  bool decode(u32 linear, WalkAccess access, Code& code);
  ExitReason classify_kernel(Exit& exit);
  ExitReason classify_user(Exit& exit);
  ExitReason port_instruction(Exit& exit);
  bool port_permitted(u16 port, unsigned size);

  // Delivery through the guest's own interrupt table (deliver.cpp). False: `exit` says what stopped it.
  bool deliver(const Event& event, Exit& exit);
  bool refuse(const Event& event, u8 vector, u32 code, Exit& exit);
  bool find_gate(const Event& event, u64& gate, Exit& exit);
  bool write_frame(u32 linear, std::span<const u32> words, unsigned size, bool user_stack);
  bool inner_stack(const Event& event, unsigned level, SegmentState& ss, u32& esp, Exit& exit);

  // Instructions (perform.cpp, perform_segments.cpp, transfers.cpp). False: fault_ says why.
  bool perform();
  bool perform_one_byte();
  bool perform_two_bytes();
  bool fail(u8 vector) { return fail(Event::exception(vector)); }
  bool fail(u8 vector, u32 code) { return fail(Event::exception(vector, code)); }
  bool fail(const Event& event) {
    fault_ = event;
    return false;
  }
  bool page_fault_event();
  EmulatedProcessor operands(u64& rip, u64& flags);
  bool read_linear(u32 linear, unsigned size, u64& value);
  bool write_linear(u32 linear, unsigned size, u64 value);
  bool read_operand(unsigned size, u64& value);
  bool write_operand(unsigned size, u64 value);
  u32 operand_linear();
  void set_register(unsigned number, unsigned size, u64 value) { write_register(registers, number, size, true, value); }
  u32 stack_mask() { return (seg(SegmentName::ss).attributes & segment::DB) != 0 ? 0xffff'ffff : 0xffff; }
  u32 stack_at(i32 offset);
  void move_stack(i32 bytes);
  /// What lies on top of the stack, the last pushed first.
  bool read_stack(unsigned size, std::span<u32> words);
  bool push(unsigned size, u64 value);
  bool push_flags();
  bool pop_flags();
  void load_flags(u64 value, unsigned size, unsigned level);
  bool set_interrupt_flag(bool on);
  bool store_table(SegmentName name);
  bool load_table(SegmentName name);
  bool load_ldt(u16 selector);
  bool load_task(u16 selector);
  bool group_6();
  bool group_7();
  bool verify(bool write);
  bool load_access_rights(bool limit);
  bool visible(u16 selector, u64& descriptor);
  bool debug_register(bool store);
  bool read_descriptor(u16 selector, u64& descriptor, bool& there);
  bool read_segment(u16 selector, SegmentState& state, bool& there);
  bool check_segment(SegmentName name, u16 selector, unsigned level, SegmentState& state);
  bool check_code(u16 selector, unsigned level, SegmentState& state);
  bool load_segment(SegmentName name, u16 selector);
  bool load_far_pointer(SegmentName name);
  bool pop_segment(SegmentName name);
  bool interrupt_return();
  bool far_return(unsigned extra);
  bool return_outward(u32 at, u32 eip, const SegmentState& cs, unsigned size, unsigned extra);
  bool far_transfer(u16 selector, u32 offset, bool call);
  bool far_indirect(bool call);
  bool software_interrupt(u8 vector);
  bool sysenter();
  bool sysexit();
  bool branch();
  bool near_return();
  bool load_stack();
  SegmentState flat(u16 selector, bool code, unsigned level) const;

  Hardware& hardware_;
  PagePool& pool_;
  LinearMemory linear_;
  DescriptorTables tables_;
  CodeScanner scanner_;
  GuestMemory* memory_ = nullptr;
  GuestPaging* paging_ = nullptr;
  bool scan_ = false;
  std::array<u64, static_cast<unsigned>(StateField::count)> fields_{};
  std::array<SegmentState, static_cast<unsigned>(SegmentName::count)> segments_{};
  std::array<u64, 4> breakpoints_{};
  std::array<bool, 2> stale_{true, true};  ///< GDT and LDT
  unsigned hot_writes_ = 0;                ///< to pages that hold them, beside them
  std::array<HostPhysical, 2> roots_{};    ///< by view
  /// By view: the root's entries, or where they lead to, may have changed.
  std::array<bool, 2> pointers_stale_{true, true};
  std::array<UserStateTime, 2> times_{};  ///< by view
  HostPhysical pointers_, directory_, area_table_;
  Event pending_, fault_;
  /// A page of descriptors that the guest itself writes, by one instruction.
  GuestPhysical opened_ = nowhere;
  static constexpr GuestPhysical nowhere{~u64{0}};
  bool window_ = false, stepping_ = false;
  UserState& state_;
  // By view: the selectors that the processor is given, those that have to be found anew, and for which tables they are.
  std::array<std::array<u16, 6>, 2> selectors_{};
  std::array<std::array<bool, 6>, 2> changed_{};
  std::array<u32, 2> tables_generation_{~u32{0}, ~u32{0}};
  Code code_;  ///< of the instruction that is to be performed
  CodeCache decoded_;
};

}  // namespace bunshin::vmm::deprivileged
