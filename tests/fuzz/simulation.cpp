#include "tests/fuzz/simulation.h"

#include <cstdlib>

extern "C" const char* __asan_default_options();
extern "C" const char* __lsan_default_suppressions();

namespace bunshin::fuzz {

namespace {

bool silence() {
  setenv("SC_COPYRIGHT_MESSAGE", "DISABLE", 1);
  sc_core::sc_report_handler::set_actions(sc_core::SC_INFO, sc_core::SC_DO_NOTHING);
  // Shells share names of sockets; nobody looks them up.
  sc_core::sc_report_handler::set_actions(sc_core::SC_ID_INSTANCE_EXISTS_, sc_core::SC_DO_NOTHING);
  // Time passes although nobody waits for it.
  sc_core::sc_report_handler::set_actions(sc_core::SC_ID_NO_SC_START_ACTIVITY_, sc_core::SC_DO_NOTHING);
  return true;
}

}  // namespace

Simulation::Simulation() {
  static const bool silent = silence();
  static_cast<void>(silent);
  context_ = new sc_core::sc_simcontext;
  sc_core::sc_default_global_context = sc_core::sc_curr_simcontext = context_;
}

Simulation::~Simulation() {
  delete context_;
  sc_core::sc_default_global_context = sc_core::sc_curr_simcontext = nullptr;
}

}  // namespace bunshin::fuzz

/// SystemC's threads have stacks of their own, which neither the address sanitizer's stand-ins for stack frames nor its
/// search for leaks can follow (that misses what libFuzzer itself has on the first stack); and a machine an input is
/// many allocations.
extern "C" const char* __asan_default_options() {
  return "detect_stack_use_after_return=0:detect_leaks=0:quarantine_size_mb=8:malloc_context_size=6";
}

/// Where leaks are looked for all the same: the library keeps pools for events, which it never returns.
extern "C" const char* __lsan_default_suppressions() { return "leak:libsystemc"; }

/// The library wants one; the fuzz targets start SystemC themselves.
int sc_main(int, char**) { return 0; }
