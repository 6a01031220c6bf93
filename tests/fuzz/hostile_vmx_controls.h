#pragma once

#include "core/virt/vmx/capabilities.h"
#include "tests/fuzz/hostile_world.h"

namespace bunshin::fuzz {

/// The five words of controls, as the input wants them and the profile allows; `mode` becomes one that they can have.
vmx::Controls choose_controls(const vmx::Capabilities& can, GuestMode& mode, Input& input);

/// Takes and gives bits so that the words have what they need of each other (SDM vol. 3, 26.2.1).
void repair(vmx::Controls& c);

}  // namespace bunshin::fuzz
