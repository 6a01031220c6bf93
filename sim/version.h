#pragma once

#include <string_view>

namespace bunshin {

/// BUNSHIN_VERSION is the project's version in the top-level CMakeLists.txt.
inline constexpr std::string_view version = BUNSHIN_VERSION;

}  // namespace bunshin
