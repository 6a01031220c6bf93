#pragma once

// The whole configuration of a run: what `bunshin run CONFIG` reads and run.yaml records.

#include <filesystem>
#include <string>
#include <vector>

#include "core/profile.h"
#include "core/timing/pipeline_parameters.h"
#include "devices/tlm/pc.h"
#include "mmu/memory/hierarchy_parameters.h"
#include "mmu/scheme.h"
#include "mmu/second_stage.h"
#include "mmu/structure_cache.h"
#include "mmu/tlb.h"
#include "sim/config/config_reader.h"
#include "sim/config/vmm_parameters.h"

namespace bunshin {

struct MachineParameters {
  u64 cores = 1;
  u64 memory = u64{512} << 20;
  std::string timing = "none";
  std::vector<std::string> switches;
  std::vector<std::string> regions;
  bool obey_requests = false;
  u64 seed = 1;
  u64 quantum = 10'000;
  u64 timed_quantum = 1'000;
  u64 epoch = 1'704'067'200;
  bool engine_statistics = false;

  void describe(ParameterVisitor& v);
};

struct GuestParameters {
  std::string loader = "auto";
  std::string kernel;
  std::vector<std::string> initrd;
  std::string cmdline;
  std::vector<std::string> disks;
  std::string symbols;

  const std::string& symbols_file() const { return symbols.empty() ? kernel : symbols; }
  void describe(ParameterVisitor& v);
};

struct MachineConfig {
  /// Of the simulator that wrote the file; read and ignored.
  std::string version;
  MachineParameters machine;
  CpuProfile cpu;
  TlbHierarchyParameters tlb;
  TranslationParameters translation;
  StructureCacheParameters structure_caches;
  SecondStageParameters second_stage;
  MemoryHierarchyParameters caches;
  PipelineParameters pipeline;
  PcParameters devices;
  GuestParameters guest;
  VmmParameters vmm;

  void describe(ParameterVisitor& v);
  /// Whether a pipeline may be wanted at any time of the run.
  bool may_be_timed() const;
};

/// Reads, overrides, checks and resolves a configuration. An override "include=FILE" adds a fragment to the file's own. Throws ConfigError for whatever is wrong with it.
MachineConfig read_config(const std::filesystem::path& file, const std::vector<std::string>& overrides);
/// The same for a tree already loaded.
MachineConfig read_config(const ConfigNode& root);

/// The text of run.yaml: every parameter with the value the run had; `bunshin run` on it repeats the run.
std::string write_config(MachineConfig config);

/// The text of docs/configuration.md.
std::string configuration_reference();

}  // namespace bunshin
