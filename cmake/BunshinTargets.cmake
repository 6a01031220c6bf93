# One static library a folder, one warning policy for all of them.

set(BUNSHIN_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize takes them (address,undefined)")
option(BUNSHIN_COVERAGE "Instrument for gcov" OFF)

add_library(bunshin_options INTERFACE)
target_include_directories(bunshin_options INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(bunshin_options INTERFACE
  -Wall -Wextra -Wshadow -Wpedantic -Wcast-qual -Wformat=2 -Wnon-virtual-dtor -Woverloaded-virtual -Wundef -Werror
  -fno-strict-aliasing)
if(BUNSHIN_SANITIZE)
  target_compile_options(bunshin_options INTERFACE -fsanitize=${BUNSHIN_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  target_link_options(bunshin_options INTERFACE -fsanitize=${BUNSHIN_SANITIZE})
  # Sanitizers clean up behind calls, which are then no tail calls (core/engine/dispatch.h).
  target_compile_definitions(bunshin_options INTERFACE BUNSHIN_LOOP_DISPATCH)
endif()
if(BUNSHIN_COVERAGE)
  target_compile_options(bunshin_options INTERFACE --coverage)
  target_link_options(bunshin_options INTERFACE --coverage)
endif()

# bunshin_library(NAME SOURCES… LINK targets…)
function(bunshin_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC bunshin_options ${ARG_LINK})
endfunction()

# bunshin_test(NAME SOURCES… LINK… LABELS…): one GoogleTest executable, one ctest entry.
function(bunshin_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LINK;LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 600)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE bunshin_options ${ARG_LINK} GTest::gtest GTest::gmock GTest::gtest_main)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}")
endfunction()

# Debian's SystemC is built for C++17; its ABI check is told so (docs/decisions/0001).
add_library(bunshin_systemc INTERFACE)
target_compile_definitions(bunshin_systemc INTERFACE SC_CPLUSPLUS=201703L SC_INCLUDE_DYNAMIC_PROCESSES)
target_link_libraries(bunshin_systemc INTERFACE ${SYSTEMC_LIBRARY})
