#include "sim/config/vmm_parameters.h"

#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>

#include "base/address.h"

namespace bunshin {

namespace {

constexpr std::array<std::string_view, 3> bindings{"none", "bare", "hosted"};
constexpr std::array<std::string_view, 4> paging_modes{"nested", "vtlb", "shadow", "software"};
constexpr std::array<std::string_view, 5> guest_paging_modes{"default", "nested", "vtlb", "shadow", "software"};
constexpr std::array<std::string_view, 3> nested_pages{"4K", "2M", "1G"};
constexpr std::array<std::string_view, 2> executions{"auto", "deprivileged"};
constexpr std::size_t most_guests = 128, most_initrds = 32, longest_name = 32;
constexpr u64 least_memory = u64{1} << 20;

using Fail = std::function<void(const std::string& key, const std::string& what)>;

void check_name(const std::string& key, const std::string& name, const Fail& fail) {
  const bool good =
      !name.empty() && name.size() <= longest_name &&
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == std::string::npos;
  if (!good) fail(key, fmt::format("a guest's name has 1 to {} letters, digits, '_', '-' and '.'", longest_name));
}

void check_size(const std::string& key, u64 bytes, const Fail& fail) {
  if (bytes % page_size != 0) fail(key, "must be a multiple of 4KiB");
}

}  // namespace

void VmmGuestParameters::describe(ParameterVisitor& v) {
  v.text("name", name, "What the hypervisor calls it, and puts before the lines that it prints.");
  v.integer("memory", memory, {least_memory, u64{1} << 40}, "bytes", "Its RAM, a multiple of 4KiB.");
  v.path("kernel", kernel, "Linux bzImage or Multiboot image. Must be set.");
  v.paths("initrd", initrd, "As `guest.initrd`, at most 32.");
  v.text("cmdline", cmdline, "Its command line.");
  v.path("disk", disk, "Raw image of its virtio disk. It is read into memory; what the guest writes is lost with it.");
  v.choice("paging", paging, guest_paging_modes, "Its paging, if not `vmm.paging`.");
  v.integer("limit", limit, {0, 1'000'000'000}, "us",
            "It is stopped, as failed, when the machine has run for so long; 0 is never.");
}

void VmmParameters::describe(ParameterVisitor& v) {
  v.choice(
      "binding", binding, bindings,
      "`none`: the guest has the machine to itself. `bare`: the machine boots the hypervisor's image, which runs the "
      "guest. `hosted`: the same hypervisor runs inside the simulator.");
  v.path("image", image,
         "The hypervisor's image; empty is `bunshin-vmm.elf` (`bunshin-vmm32.elf` on 32-bit processors and for "
         "deprivileged guests), built beside "
         "the simulator's own file.");
  v.choice(
      "paging", paging, paging_modes,
      "How guests' memory is translated: second-stage tables that the hardware walks; a virtual TLB, filled on "
      "faults; shadow tables that follow the guest's writes to its own; or no tables, under the translation scheme "
      "`software`.");
  v.choice("nested_page", nested_page, nested_pages,
           "Pages of the second stage. 2M: where memory lies so. 1G: a guest of 2GiB or more, on a processor that has "
           "them.");
  v.integer("slice", slice, {100, 1'000'000'000}, "us", "A guest's turn, when there are several.");
  v.choice(
      "execution", execution, executions,
      "`auto`: by the processor's virtualization extension if it has one. `deprivileged`: the guest's kernel in user "
      "state, without any.");
  v.boolean(
      "scan", scan,
      "Deprivileged: guest code is scanned before it first runs, so that what should trap and does not (PUSHF, SMSW "
      "…) is found.");
  v.integer("guest_memory", guest_memory, {0, u64{1} << 40}, "bytes",
            "RAM of the one guest, a multiple of 4KiB; 0 is three quarters of `machine.memory`.");
  v.group("costs", costs,
          "What the computing of a `hosted` hypervisor takes ([hosted](hosted_hypervisor.md)): "
          "`tools/vmm_calibrate.py` measures it.");
  v.groups("guests", guests, "Several guests at once, instead of the one that `guest` describes.");
}

u64 VmmParameters::guest_memory_of(u64 machine_memory) const {
  constexpr u64 grain = u64{2} << 20;
  return guest_memory != 0 ? guest_memory : machine_memory / 4 * 3 / grain * grain;
}

std::string problem_of_initrds(const std::vector<std::string>& entries) {
  if (entries.size() > most_initrds)
    return fmt::format("a guest of the hypervisor has at most {}, not {}", most_initrds, entries.size());
  const bool lines = std::ranges::any_of(
      entries, [](const std::string& entry) { return entry.find_first_of("\r\n") != std::string::npos; });
  return lines ? "must be one line each for a guest of the hypervisor" : "";
}

bool only_user_state(const CpuProfile& cpu) {
  return !cpu.has(Feature::Lm) || !(cpu.has(Feature::Vmx) || cpu.has(Feature::Svm));
}

std::string lacking_for_paging(const std::string& paging, const CpuProfile& cpu, const std::string& scheme) {
  const bool intel = cpu.has(Feature::Vmx);
  if (paging == "nested" && !cpu.has(intel ? Feature::Ept : Feature::Npt)) {
    return fmt::format("the processor has no second stage of translation ({})", intel ? "EPT" : "NPT");
  }
  if (paging != "software") return "";
  if (scheme != "software") return "the hardware fills the TLB (--set translation.scheme=software has it filled)";
  return intel && !cpu.has(Feature::Vpid) ? "the processor's TLB does not tell guests apart (VPID)" : "";
}

void VmmParameters::check_paging(CpuProfile cpu, const std::string& scheme, const Fail& fail) const {
  if (!wanted()) return;
  cpu.resolve();
  const bool user_state = execution == "deprivileged" || only_user_state(cpu);
  const auto check_one = [&](const std::string& key, const std::string& wanted_paging) {
    const bool tables = wanted_paging == "shadow" || wanted_paging == "vtlb";
    const std::string lacking =
        user_state && !tables ? "guests run in user state here" : lacking_for_paging(wanted_paging, cpu, scheme);
    if (!lacking.empty())
      fail(key, fmt::format("'{}' is not possible: {}: use shadow or vtlb", wanted_paging, lacking));
  };
  if (guests.empty()) check_one("paging", paging);
  for (std::size_t i = 0; i < guests.size(); ++i) {
    const bool own = guests[i].paging != "default";
    check_one(own ? fmt::format("guests[{}].paging", i) : "paging", own ? guests[i].paging : paging);
  }
}

void VmmParameters::check(u64 machine_memory, const Fail& fail) const {
  costs.check([&fail](const std::string& key, const std::string& what) { fail("costs." + key, what); });
  if (!wanted()) return;
  check_size("guest_memory", guest_memory, fail);
  if (guest_memory != 0 && guest_memory < least_memory) fail("guest_memory", "must be 1MiB or more, or 0");
  if (guests.empty() && guest_memory_of(machine_memory) >= machine_memory) {
    fail("guest_memory", "leaves the hypervisor nothing of machine.memory");
  }
  if (guests.size() > most_guests) fail("guests", fmt::format("at most {} guests", most_guests));
  std::set<std::string> names;
  u64 sum = 0;
  for (std::size_t i = 0; i < guests.size(); ++i) {
    const VmmGuestParameters& g = guests[i];
    const std::string key = fmt::format("guests[{}].", i);
    check_name(key + "name", g.name, fail);
    if (!names.insert(g.name).second) fail(key + "name", fmt::format("there are two guests called '{}'", g.name));
    check_size(key + "memory", g.memory, fail);
    if (g.kernel.empty()) fail(key + "kernel", "is not set: name an image");
    if (const std::string what = problem_of_initrds(g.initrd); !what.empty()) fail(key + "initrd", what);
    if (g.cmdline.find_first_of("\r\n") != std::string::npos) fail(key + "cmdline", "must be one line");
    sum += g.memory;
    if (sum >= machine_memory) {
      fail(key + "memory",
           fmt::format("the guests' memory is more than machine.memory has, {} MiB", machine_memory >> 20));
    }
  }
}

}  // namespace bunshin
