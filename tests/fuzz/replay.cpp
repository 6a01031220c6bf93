// Runs a fuzz target without libFuzzer: on the files named, or on inputs that a fixed seed makes, so that every build
// compiles the targets and every test run gives them something.

#include <cstdio>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

#include "tests/fuzz/target.h"

namespace {

using bunshin::u8;

std::vector<u8> read_file(const char* path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Of any length up to 4 KiB; half of them sparse, as headers are.
std::vector<u8> make_input(std::mt19937& random) {
  std::vector<u8> bytes(random() % 4096);
  const bool sparse = random() % 2 == 0;
  for (u8& byte : bytes) byte = sparse && random() % 8 != 0 ? u8{0} : static_cast<u8>(random());
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  constexpr int made_inputs = 2000;
  std::mt19937 random(1);
  for (int i = 1; i < argc; ++i) {
    const std::vector<u8> input = read_file(argv[i]);
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  for (int i = 0; argc == 1 && i < made_inputs; ++i) {
    const std::vector<u8> input = make_input(random);
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  std::puts("no input broke the target");
  return 0;
}
