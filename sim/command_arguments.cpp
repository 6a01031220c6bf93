#include "sim/command_arguments.h"

#include <iostream>

#include <fmt/format.h>

#include "sim/config/config_tree.h"

namespace bunshin {

namespace po = boost::program_options;

std::optional<po::variables_map> parse_arguments(const std::vector<std::string>& arguments,
                                                 const po::options_description& options, const CommandSyntax& syntax) {
  po::options_description all;
  all.add(options).add_options()(syntax.word, po::value<std::string>());
  po::positional_options_description positions;
  positions.add(syntax.word, 1);
  po::variables_map values;
  try {
    // Abbreviations would make every later option a change of the command line's meaning.
    const int style = po::command_line_style::default_style & ~po::command_line_style::allow_guessing;
    po::store(po::command_line_parser(arguments).options(all).positional(positions).style(style).run(), values);
    po::notify(values);
  } catch (const po::error& e) {
    throw ConfigError(fmt::format("{}\n{}", e.what(), syntax.usage));
  }
  if (values.count("help") != 0) {
    std::cout << syntax.usage << "\n\n";
    if (syntax.introduction != nullptr) std::cout << syntax.introduction << "\n\n";
    std::cout << options;
    return std::nullopt;
  }
  if (syntax.word_required && values.count(syntax.word) == 0) {
    throw ConfigError(fmt::format("{} is missing\n{}", syntax.word, syntax.usage));
  }
  return values;
}

std::string option_text(const po::variables_map& values, const char* name) {
  return values.count(name) == 0 ? std::string() : values[name].as<std::string>();
}

}  // namespace bunshin
