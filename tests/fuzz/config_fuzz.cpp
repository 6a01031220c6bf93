// Any text is a configuration or a ConfigError.

#include <string>

#include "sim/config/config_tree.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const bunshin::u8* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    bunshin::parse_config_tree(text, "fuzz.yaml", "/nonexistent");
  } catch (const bunshin::ConfigError&) {
    // What a damaged configuration is to end in.
  }
  return 0;
}
