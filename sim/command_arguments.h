#pragma once

// What the commands' lines have in common: options, and one word that is not an option.

#include <optional>
#include <string>
#include <vector>

#include <boost/program_options.hpp>

namespace bunshin {

struct CommandSyntax {
  const char* usage;
  const char* introduction;  ///< of the help, behind the usage; null: none
  const char* word;          ///< its name
  bool word_required = true;
};

/// Empty if help was asked for (and printed). Throws ConfigError for a bad command line; the message says where help is.
std::optional<boost::program_options::variables_map> parse_arguments(
    const std::vector<std::string>& arguments, const boost::program_options::options_description& options,
    const CommandSyntax& syntax);

/// Empty if the option was not given.
std::string option_text(const boost::program_options::variables_map& values, const char* name);

}  // namespace bunshin
