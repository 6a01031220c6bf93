// Any text is a configuration of the hypervisor, or a problem with its place.

#include "base/check.h"
#include "tests/fuzz/target.h"
#include "vmm-model/config.h"

extern "C" int LLVMFuzzerTestOneInput(const bunshin::u8* data, std::size_t size) {
  using namespace bunshin::vmm;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  VmmConfig config;  // a new one each time: a text says only what differs from it
  const ConfigProblem problem = parse_config(text, config);
  SIM_CHECK(config.guest_count <= VmmConfig::max_guests);
  if (!problem.problem.empty()) return 0;
  SIM_CHECK(config.guest_count != 0 && config.slice_us >= 100);
  for (unsigned i = 0; i < config.guest_count; ++i) {
    const GuestConfig& guest = config.guests[i];
    SIM_CHECK(!guest.name.empty() && !guest.kernel.empty());
    SIM_CHECK(guest.memory % 4096 == 0 && guest.memory >= 1 << 20);
    SIM_CHECK(guest.initrd_count <= GuestConfig::max_initrds);
    for (unsigned k = 0; k < guest.initrd_count; ++k) SIM_CHECK(!guest.initrds[k].module.empty());
    SIM_CHECK(guest.kernel.data() >= text.data() && guest.kernel.end() <= text.end());
  }
  return 0;
}
