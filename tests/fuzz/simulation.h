#pragma once

// SystemC elaborates once, and its time never goes back: every machine that a fuzz target builds gets a simulation
// context of its own, so that each input begins at time 0 and can be run twice.

#include "devices/tlm/board.h"

namespace bunshin::fuzz {

class Simulation {
 public:
  /// From here on modules and events belong to a new simulation. One lives at a time.
  Simulation();
  ~Simulation();
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;

 private:
  sc_core::sc_simcontext* context_;
};

}  // namespace bunshin::fuzz
