#include "guests/kvm_launcher/statistics.h"

#include <sys/ioctl.h>
#include <unistd.h>
#include <cstdio>
#include <cstring>

namespace launcher {

namespace {

const char* name_of(unsigned reason) {
  switch (reason) {
    case KVM_EXIT_IO: return "io";
    case KVM_EXIT_HLT: return "hlt";
    case KVM_EXIT_MMIO: return "mmio";
    case KVM_EXIT_SHUTDOWN: return "shutdown";
    case KVM_EXIT_FAIL_ENTRY: return "fail_entry";
    case KVM_EXIT_INTR: return "intr";
    case KVM_EXIT_INTERNAL_ERROR: return "internal_error";
    case KVM_EXIT_SYSTEM_EVENT: return "system_event";
    default: return nullptr;
  }
}

/// kvm_stats_desc as C lays it out: in C++ its flexible array adds to the size. The name follows it.
struct Descriptor {
  std::uint32_t flags;
  std::int16_t exponent;
  std::uint16_t size;
  std::uint32_t offset, bucket_size;
};
static_assert(sizeof(Descriptor) == 16);

/// Counters of KVM's binary statistics (Documentation/virt/kvm/api.rst, 4.133): a header, descriptors with names, values.
void print_kvm_counters(int file, unsigned index) {
  kvm_stats_header header{};
  if (pread(file, &header, sizeof header, 0) != static_cast<ssize_t>(sizeof header)) return;
  const std::size_t record = sizeof(Descriptor) + header.name_size;
  for (unsigned i = 0; i < header.num_desc; ++i) {
    char bytes[sizeof(Descriptor) + 256] = {};
    if (record >= sizeof bytes) return;
    const auto at = static_cast<off_t>(header.desc_offset + i * record);
    if (pread(file, bytes, record, at) != static_cast<ssize_t>(record)) return;
    Descriptor descriptor{};
    memcpy(&descriptor, bytes, sizeof descriptor);
    std::uint64_t value = 0;
    const auto data = static_cast<off_t>(header.data_offset + descriptor.offset);
    // Histograms have more than one value.
    if (descriptor.size != 1 || pread(file, &value, sizeof value, data) != static_cast<ssize_t>(sizeof value)) continue;
    if (value == 0) continue;
    fprintf(stderr, "kvm_launcher: processor %u: kvm.%s %llu\n", index, bytes + sizeof descriptor,
            static_cast<unsigned long long>(value));
  }
}

}  // namespace

void print_statistics(const VirtualProcessor& processor, unsigned index) {
  for (unsigned reason = 0; reason < ReturnCounts::size; ++reason) {
    const auto count = static_cast<unsigned long long>(processor.returns().of[reason]);
    if (count == 0) continue;
    if (const char* name = name_of(reason)) {
      fprintf(stderr, "kvm_launcher: processor %u: returned.%s %llu\n", index, name, count);
    } else {
      fprintf(stderr, "kvm_launcher: processor %u: returned.reason_%u %llu\n", index, reason, count);
    }
  }
  const int file = ioctl(processor.file(), KVM_GET_STATS_FD, nullptr);
  if (file < 0) return;
  print_kvm_counters(file, index);
  close(file);
}

}  // namespace launcher
