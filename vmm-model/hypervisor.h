#pragma once

// The hypervisor: guests made from a configuration, and turns for them on the one processor (CHAPTER S1, S12).

#include <span>

#include "vmm-model/boot/guest_loader.h"
#include "vmm-model/execution_back_end.h"
#include "vmm-model/guest.h"

namespace bunshin::vmm {

/// What the boot loader has put into memory beside the hypervisor.
struct BootModule {
  std::string_view name;
  std::span<const u8> bytes;
};

class Hypervisor {
 public:
  /// `back_ends` in order of preference: guests run on the first that the processor can do.
  Hypervisor(Hardware& hardware, PagePool& pool, std::span<ExecutionBackEnd* const> back_ends)
      : hardware_(hardware), pool_(pool), back_ends_(back_ends) {}

  /// All of a hypervisor's life, from boot modules to power-off.
  void serve(std::span<const BootModule> modules);
  /// Module 0 is the configuration. False: a message has been logged.
  bool start(std::span<const BootModule> modules);
  /// Until all guests have ended. True: all of them well.
  bool run();

 private:
  static constexpr unsigned max_guests = VmmConfig::max_guests;

  template <class T, class... Arguments>
  T* create(Arguments&&... arguments);
  bool choose_back_end();
  /// Why the guest cannot have second-stage pages of 1 GiB; empty: it can.
  static std::string_view no_gigabyte_pages(const GuestMemory& memory, const GuestExecution& execution);
  /// Fills `parts`, and returns how many it took; 0: no room.
  unsigned allocate_ram(u64 bytes, std::span<GuestMemory::Part, GuestMemory::max_parts> parts);
  bool has_gigabyte_pages();
  bool has_pse36();
  bool create_disk(const GuestConfig& config, std::span<const BootModule> modules, VirtualPcSetup& setup);
  bool create_guest(const GuestConfig& config, std::span<const BootModule> modules);
  /// Why there is none; empty: `image` has it, its initrds in `initrds`.
  std::string_view find_image(const GuestConfig& config, std::span<const BootModule> modules,
                              std::span<GuestModule, GuestConfig::max_initrds> initrds, GuestImage& image) const;
  GuestPaging* create_paging(PagingChoice choice, const PagingContext& context);
  /// No bytes: there is none.
  BootModule find_module(std::string_view name, std::span<const BootModule> modules) const;
  bool refuse(const GuestConfig& config, std::string_view why);
  Guest* next_ready();
  void give_processor(Guest& guest);
  /// Nobody is ready: sleeps until somebody may be.
  void idle();
  void read_input();
  void report(Guest& guest);
  void report_exits(Guest& guest);

  Hardware& hardware_;
  PagePool& pool_;
  std::span<ExecutionBackEnd* const> back_ends_;
  ExecutionBackEnd* back_end_ = nullptr;
  VmmConfig config_;
  std::array<Guest*, max_guests> guests_{};
  unsigned count_ = 0;
  unsigned turn_ = 0;
  u64 start_tsc_ = 0;  ///< when the first guest was about to be entered
  u64 idle_tsc_ = 0;   ///< while no guest was ready
  Guest* on_processor_ = nullptr;
};

}  // namespace bunshin::vmm
