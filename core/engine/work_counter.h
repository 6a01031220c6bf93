#pragma once

// How well the engine's shortcuts serve: counted only when asked for (machine.engine_statistics).

#include "core/engine/observation.h"

namespace bunshin {

class WorkCounter final : public BlockObserver {
 public:
  u64 block_ran(const BlockRun& run) override {
    ++blocks;
    instructions += run.completed;
    for (const MemoryReference& r : run.references) {
      if (r.kind != MemoryReference::Kind::Load && r.kind != MemoryReference::Kind::Store) continue;
      ++references;
      fast += r.fast ? 1 : 0;
    }
    return run.completed;
  }

  u64 blocks = 0;  ///< that ran, whole or in part
  u64 instructions = 0;
  u64 references = 0;  ///< loads and stores, one for each page touched
  u64 fast = 0;        ///< … that the fast translation cache served
};

}  // namespace bunshin
