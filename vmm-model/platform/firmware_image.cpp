#include "vmm-model/platform/firmware_image.h"

namespace bunshin::vmm {

namespace {
constexpr u8 image[] = {
#include "vmm_firmware.hex"
};
}  // namespace

std::span<const u8> firmware_image() { return image; }

}  // namespace bunshin::vmm
