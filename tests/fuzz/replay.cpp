// Runs a fuzz target without libFuzzer: every build compiles the targets, every test run gives them something.
//   TARGET [--made N] [--seed S] [FILE or DIRECTORY]…
// on the files named (a corpus, what once was a crash), then on N inputs that the seed makes. An input that ends in an
// exception is left in the file broken-input.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "tests/fuzz/target.h"

namespace {

using bunshin::u8;

void run(const std::vector<u8>& input) {
  try {
    LLVMFuzzerTestOneInput(input.data(), input.size());
  } catch (...) {
    std::ofstream("broken-input", std::ios::binary)
        .write(reinterpret_cast<const char*>(input.data()), static_cast<std::streamsize>(input.size()));
    throw;
  }
}

void run_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  run({std::istreambuf_iterator<char>(in), {}});
}

/// In the order of their names: the first to fail is the same everywhere.
void run_directory(const std::filesystem::path& directory) {
  const std::filesystem::directory_iterator entries(directory);
  std::vector<std::filesystem::path> files;
  for (const auto& entry : entries) files.push_back(entry.path());
  std::ranges::sort(files);
  for (const auto& file : files) run_file(file);
}

/// Of any length up to 4 KiB; a third of them sparse, as headers are, and a third with many of guest_fuzz's phrases.
std::vector<u8> make_input(std::mt19937& random) {
  constexpr u8 phrase_escape = 0xd6;
  std::vector<u8> bytes(random() % (random() % 2 == 0 ? 256 : 4096));
  const unsigned kind = random() % 3;
  for (u8& byte : bytes) {
    byte = static_cast<u8>(random());
    if (kind == 0 && random() % 8 != 0) byte = 0;
    if (kind == 1 && random() % 5 == 0) byte = phrase_escape;
  }
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  unsigned long made = 2000, seed = 1;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if ((argument == "--made" || argument == "--seed") && i + 1 < argc) {
      (argument == "--made" ? made : seed) = std::strtoul(argv[++i], nullptr, 0);
    } else if (std::filesystem::is_directory(argument)) {
      run_directory(argument);
    } else {
      run_file(argument);
    }
  }
  std::mt19937 random(static_cast<std::mt19937::result_type>(seed));
  for (unsigned long i = 0; i < made; ++i) run(make_input(random));
  std::puts("no input broke the target");
  return 0;
}
