#pragma once

// The command line (Boost.Program_options).

#include <optional>
#include <string>
#include <vector>

#include "base/types.h"

namespace bunshin {

struct RunOptions {
  std::string config;
  std::vector<std::string> overrides;  ///< "key=value"
  std::string out;                     ///< directory; empty: none
  std::optional<u64> max_cycles;
  std::string trace;                 ///< file; empty: none
  std::string trace_from, trace_to;  ///< cycle or symbol
  std::string walk_trace;            ///< file; empty: none
  std::string exit_trace;            ///< file; empty: none
  std::optional<unsigned> gdb_port;
  std::string until_screen, until_console;
  bool screen = false;
  bool quiet = false;
};

struct DisasmOptions {
  std::string file;
  unsigned bits = 0;  ///< 0: what the file says
  u64 base = 0;
  u64 offset = 0;
  std::optional<u64> length;
  std::string symbol;
};

/// These throw ConfigError for a bad command line; the message says where help is. Help asked for: printed, nothing
/// returned.
std::optional<RunOptions> parse_run_options(const std::vector<std::string>& arguments);
std::optional<DisasmOptions> parse_disasm_options(const std::vector<std::string>& arguments);

std::string general_help();

}  // namespace bunshin
