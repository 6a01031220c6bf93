#include "sim/debug/disassembler.h"

#include <capstone/capstone.h>
#include <fmt/format.h>

#include "base/check.h"

namespace bunshin {

struct Disassembler::Handle {
  csh engine = 0;
  cs_insn* instruction = nullptr;

  explicit Handle(unsigned bits) {
    const cs_mode mode = bits == 64 ? CS_MODE_64 : bits == 32 ? CS_MODE_32 : CS_MODE_16;
    const cs_err error = cs_open(CS_ARCH_X86, mode, &engine);
    SIM_CHECK(error == CS_ERR_OK);
    instruction = cs_malloc(engine);
    SIM_CHECK(instruction != nullptr);
  }
  ~Handle() {
    cs_free(instruction, 1);
    cs_close(&engine);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
};

Disassembler::Disassembler(unsigned bits) : handle_(std::make_unique<Handle>(bits)) {}
Disassembler::~Disassembler() = default;
Disassembler::Disassembler(Disassembler&&) noexcept = default;

Disassembled Disassembler::at(std::span<const u8> bytes, u64 address) const {
  if (bytes.empty()) return {};
  const uint8_t* code = bytes.data();
  std::size_t left = bytes.size();
  if (!cs_disasm_iter(handle_->engine, &code, &left, &address, handle_->instruction)) return {1, "(bad)"};
  const cs_insn& i = *handle_->instruction;
  if (i.op_str[0] == '\0') return {i.size, i.mnemonic};
  return {i.size, fmt::format("{} {}", i.mnemonic, i.op_str)};
}

std::string hex_bytes(std::span<const u8> bytes) {
  std::string text;
  for (const u8 b : bytes) text += fmt::format("{}{:02x}", text.empty() ? "" : " ", b);
  return text;
}

}  // namespace bunshin
