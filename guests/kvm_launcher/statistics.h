#pragma once

#include "guests/kvm_launcher/vcpu.h"

namespace launcher {

/// Prints to standard error how often KVM_RUN came back and, where KVM tells (KVM_GET_STATS_FD), its own counts of exits.
void print_statistics(const VirtualProcessor& processor, unsigned index);

}  // namespace launcher
