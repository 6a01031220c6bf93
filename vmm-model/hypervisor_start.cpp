// From a configuration and modules to guests that can be entered.

#include <algorithm>

#include "vmm-model/guest_cpuid.h"
#include "vmm-model/hypervisor.h"
#include "vmm-model/message.h"
#include "vmm-model/paging/nested_paging.h"
#include "vmm-model/paging/shadow_paging.h"
#include "vmm-model/paging/software_tlb.h"
#include "vmm-model/paging/virtual_tlb.h"
#include "vmm-model/platform/guest_disk.h"

namespace bunshin::vmm {

namespace {

constexpr u64 medium_page = u64{2} << 20;

/// The part of a module's name that a configuration uses: file name without folders and arguments.
std::string_view short_name(std::string_view name) {
  name = name.substr(0, name.find(' '));
  const std::size_t slash = name.rfind('/');
  return slash == std::string_view::npos ? name : name.substr(slash + 1);
}

std::string_view text_of(std::span<const u8> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

template <class T, class... Arguments>
T* Hypervisor::create(Arguments&&... arguments) {
  return create_object<T>(hardware_, static_cast<Arguments&&>(arguments)...);
}

bool Hypervisor::start(std::span<const BootModule> modules) {
  if (modules.empty()) {
    hardware_.log("no configuration: the first boot module must be one\n");
    return false;
  }
  const ConfigProblem problem = parse_config(text_of(modules.front().bytes), config_);
  if (!problem.problem.empty()) {
    Message message;
    message << short_name(modules.front().name) << ":" << problem.line << ":" << problem.column << ": "
            << problem.problem;
    if (!problem.text.empty()) message << ": " << problem.text.substr(0, 80);
    message << "\n";
    hardware_.log(message.text());
    return false;
  }
  if (!choose_back_end()) return false;
  const u64 free = pool_.free_pages();
  u64 asked = 0;
  for (unsigned i = 0; i < config_.guest_count; ++i) {
    if (!create_guest(config_.guests[i], modules)) return false;
    asked += config_.guests[i].memory / page_size;
  }
  Message message;
  message << "bunshin-vmm: " << config_.guest_count << " guests take " << (free - pool_.free_pages() - asked) * 4
          << " KiB beside their memory\n";
  hardware_.log(message.text());
  return true;
}

bool Hypervisor::choose_back_end() {
  Message lacking;
  lacking << "guests cannot run on this processor:";
  for (ExecutionBackEnd* candidate : back_ends_) {
    const bool passed_over = config_.deprivileged && candidate->name() != user_state_name;
    const std::string_view problem =
        passed_over ? std::string_view{"not asked for"} : candidate->enable(hardware_, pool_);
    if (problem.empty()) {
      back_end_ = candidate;
      return true;
    }
    lacking << (candidate == back_ends_.front() ? " " : "; ") << candidate->name() << ": " << problem;
  }
  lacking << "\n";
  hardware_.log(lacking.text());
  return false;
}

BootModule Hypervisor::find_module(std::string_view name, std::span<const BootModule> modules) const {
  const auto found =
      std::find_if(modules.begin() + 1, modules.end(), [&](const BootModule& m) { return short_name(m.name) == name; });
  if (found != modules.end()) return *found;
  u64 number = 0;
  for (const char c : name) {
    if (c < '0' || c > '9' || number > modules.size()) return {};
    number = number * 10 + static_cast<u64>(c - '0');
  }
  return number >= 1 && number < modules.size() ? modules[number] : BootModule{};
}

bool Hypervisor::refuse(const GuestConfig& config, std::string_view why) {
  Message message;
  message << "guest " << config.name << ": " << why << "\n";
  hardware_.log(message.text());
  return false;
}

GuestPaging* Hypervisor::create_paging(PagingChoice choice, const PagingContext& context) {
  switch (choice) {
    case PagingChoice::Nested: return create<NestedPaging>(context, config_.nested_page);
    case PagingChoice::VirtualTlb: return create<VirtualTlb>(context);
    case PagingChoice::SoftwareTlb: return create<SoftwareTlb>(context);
    default: return create<ShadowPaging>(context);
  }
}

/// In one part, aligned as the largest pages that may map it want it, if there is such a place; else in parts that small pages
/// map, as the machine's memory is in parts: below 4 GiB and above.
unsigned Hypervisor::allocate_ram(u64 bytes, std::span<GuestMemory::Part, GuestMemory::max_parts> parts) {
  for (u64 alignment = config_.nested_page; alignment > page_size; alignment >>= 9) {
    if (alignment > bytes) continue;
    parts[0] = {pool_.allocate_block(bytes, alignment), bytes};
    if (parts[0].host.value != 0) return 1;
  }
  unsigned count = 0;
  for (u64 left = bytes; left != 0; left -= parts[count++].bytes) {
    if (count == parts.size()) return 0;
    const u64 alignment = left < medium_page ? page_size : std::min(config_.nested_page, medium_page);
    u64 here = left;
    const HostPhysical host = pool_.allocate_part(here, alignment);
    if (host.value == 0) return 0;
    parts[count] = {host, here};
  }
  return count;
}

// Pages of 2 MiB are had where there is room for them, as everywhere; pages of 1 GiB somebody has asked for.
std::string_view Hypervisor::no_gigabyte_pages(const GuestMemory& memory, const GuestExecution& execution) {
  constexpr u64 gib = u64{1} << 30, four_gib = 4 * gib;
  if (execution.largest_second_stage_page() < gib) {
    return "this processor's second stage has no pages of 1 GiB: nested_page is 4K or 2M here";
  }
  // Video memory is a hole in the first GiB.
  if (memory.size() < 2 * gib)
    return "nested_page = 1G needs a guest with 2 GiB or more: its first GiB takes small pages";
  for (GuestPhysical page(gib); page.value < four_gib + memory.high_size(); page = page + gib) {
    if (memory.adjacent(page, gib) && memory.host(page).value % gib == 0) return {};
  }
  return "nested_page = 1G needs memory for it that begins at a multiple of 1 GiB, and there is none";
}

bool Hypervisor::has_gigabyte_pages() { return (guest_cpuid(hardware_, 0x8000'0001, 0, false).edx >> 26 & 1) != 0; }
bool Hypervisor::has_pse36() { return (guest_cpuid(hardware_, 1, 0, false).edx >> 17 & 1) != 0; }

bool Hypervisor::create_disk(const GuestConfig& config, std::span<const BootModule> modules, VirtualPcSetup& setup) {
  const std::span<const u8> image = find_module(config.disk, modules).bytes;
  if (image.size() < VirtioBlk::sector_bytes) return refuse(config, "there is no boot module for its disk");
  void* pages = hardware_.allocate_object(GuestDisk::blocks(image.size()) * sizeof(u64));
  if (pages != nullptr) setup.disk = create<GuestDisk>(hardware_, pool_, image, static_cast<u64*>(pages));
  return setup.disk != nullptr || refuse(config, "the machine has no memory left for it");
}

std::string_view Hypervisor::find_image(const GuestConfig& config, std::span<const BootModule> modules,
                                        std::span<GuestModule, GuestConfig::max_initrds> initrds,
                                        GuestImage& image) const {
  const BootModule kernel = find_module(config.kernel, modules);
  if (kernel.bytes.empty()) return "there is no boot module for its kernel";
  for (unsigned i = 0; i < config.initrd_count; ++i) {
    const BootModule module = find_module(config.initrds[i].module, modules);
    if (module.bytes.empty()) return "there is no boot module for its initrd";
    initrds[i] = {module.bytes, short_name(module.name), config.initrds[i].arguments};
  }
  image = {kernel.bytes, initrds.first(config.initrd_count), config.cmdline, short_name(kernel.name)};
  return {};
}

bool Hypervisor::create_guest(const GuestConfig& config, std::span<const BootModule> modules) {
  std::array<GuestModule, GuestConfig::max_initrds> initrds;
  GuestImage image;
  if (const std::string_view why = find_image(config, modules, initrds, image); !why.empty())
    return refuse(config, why);
  if (config.paging == PagingChoice::Nested && !back_end_->nested_paging()) {
    return refuse(config, "this processor has no nested paging: choose shadow or vtlb");
  }
  std::array<GuestMemory::Part, GuestMemory::max_parts> parts;
  const auto ram = std::span<const GuestMemory::Part>(parts).first(allocate_ram(config.memory, parts));
  const HostPhysical state_area = pool_.allocate();
  if (ram.empty() || state_area.value == 0) return refuse(config, "the machine has no memory left for it");
  auto* memory = create<GuestMemory>(hardware_, ram);
  GuestExecution* execution = back_end_->create_execution(hardware_, pool_);
  if (memory == nullptr || execution == nullptr) return refuse(config, "the machine has no memory left for it");
  if (config.paging == PagingChoice::Nested && config_.nested_page > medium_page) {
    if (const std::string_view why = no_gigabyte_pages(*memory, *execution); !why.empty()) return refuse(config, why);
  }
  // What a boot loader, or whoever used the memory before, has left there is nobody's to read.
  for (const GuestMemory::Part& part : ram) hardware_.clear(part.host, part.bytes);
  if (config.paging == PagingChoice::SoftwareTlb &&
      !(SoftwareTlb::supported(hardware_) && execution->keeps_translations())) {
    return refuse(config,
                  "software paging needs a TLB that software fills (translation.scheme) and that tells guests apart");
  }
  const PagingContext context{hardware_,  pool_, *memory, *execution, physical_bits(hardware_), has_gigabyte_pages(),
                              has_pse36()};
  GuestPaging* paging = create_paging(config.paging, context);
  if (paging == nullptr) return refuse(config, "the machine has no memory left for it");
  VirtualPcSetup setup;
  const CpuidResult features = guest_cpuid(hardware_, 1, 0, false);
  setup.apic = {(features.ecx >> 21 & 1) != 0, (features.ecx >> 24 & 1) != 0, physical_bits(hardware_)};
  setup.apic_timer = apic_timer_clock(hardware_, setup.apic_timer);
  if (SoftwareProcessor* software = execution->software()) {
    if (!software->attach(*memory, *paging, config_.scan))
      return refuse(config, "the machine has no memory left for it");
  }
  if (!config.disk.empty() && !create_disk(config, modules, setup)) return false;
  const SimTime limit = config.limit_us == 0 ? SimTime::never() : SimTime{config.limit_us * 1'000'000};
  Guest* guest = create<Guest>(config.name, hardware_, *memory, *execution, *paging, setup, state_area, limit,
                               config_.guest_count > 1);
  if (guest == nullptr) return refuse(config, "the machine has no memory left for it");
  if (const std::string_view problem = load_guest(image, *memory, *execution); !problem.empty()) {
    return refuse(config, problem);
  }
  if (!guest->power_on()) return refuse(config, "the machine has no memory left for its tables");
  guests_[count_++] = guest;
  return true;
}

}  // namespace bunshin::vmm
