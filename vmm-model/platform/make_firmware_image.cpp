// Prints the bytes of firmware_image() for the compiler, in the form of an initializer list.

#include <fmt/format.h>

#include "devices/acpi_tables.h"

int main() {
  bunshin::FirmwareConfig config;
  config.ecam_base = 0xe000'0000;
  config.mp_table = true;
  const bunshin::FirmwareTables tables = bunshin::build_firmware_tables(config);
  for (std::size_t i = 0; i < tables.bytes.size(); ++i) fmt::print("{}{}", tables.bytes[i], i % 32 == 31 ? ",\n" : ",");
  return 0;
}
