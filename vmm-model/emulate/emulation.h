#pragma once

// One instruction being performed. emulator.cpp has the table of operations, which are in files by kind.

#include "vmm-model/emulate/arithmetic.h"
#include "vmm-model/emulate/emulator.h"

namespace bunshin::vmm {

class Emulation {
 public:
  Emulation(const Instruction& instruction, EmulatedProcessor& processor, GuestAccess& access)
      : insn_(instruction), cpu_(processor), access_(access), next_(processor.rip + instruction.length) {}

  EmulationResult run();

 private:
  /// False: a fault is on its way.
  using Handler = bool (Emulation::*)();
  struct Row {
    Operation operation;
    Handler handler;
  };
  static const Row rows[];
  static constexpr unsigned operations = static_cast<unsigned>(Operation::Count);

  /// 32 bytes at most, as memory has them.
  using Vector = std::array<u64, 4>;

  // Operands.
  bool read_rm(u64& value, unsigned size, Intent intent = Intent::Read);
  bool write_rm(u64 value) { return write_rm(value, insn_.operand_size); }
  bool write_rm(u64 value, unsigned size);
  u64 get(unsigned number, unsigned size) const {
    return read_register(cpu_.registers, number, size, insn_.has_rex || insn_.vex);
  }
  void set(unsigned number, unsigned size, u64 value) {
    write_register(cpu_.registers, number, size, insn_.has_rex || insn_.vex, value);
  }
  u64 source() const {
    return insn_.has_immediate ? insn_.immediate & size_mask(insn_.operand_size) : get(insn_.reg, insn_.operand_size);
  }
  void set_reg(u64 value) { set(insn_.reg, insn_.operand_size, value); }
  u64 accumulator(Gpr number, unsigned size) const { return read_register(cpu_.registers, number, size, true); }
  void set_accumulator(Gpr number, unsigned size, u64 value) {
    write_register(cpu_.registers, number, size, true, value);
  }
  u64 masked(u64 value) const { return value & size_mask(insn_.address_size); }
  void set_flag(u64 flag, bool on) { cpu_.flags = on ? cpu_.flags | flag : cpu_.flags & ~flag; }
  void set_result_flags(u64 result, unsigned size);
  bool condition() const;
  bool raise(u8 vector) {
    access_.raise(vector);
    return false;
  }

  // integers.cpp
  bool move();
  bool move_if();
  bool set_if();
  bool move_swapped();
  bool store_segment();
  bool load_address();
  bool alu();
  bool unary();
  bool exchange();
  bool compare_exchange();
  bool compare_exchange_pair();
  bool translate();
  bool flush_line();
  bool nothing() { return true; }

  // bits.cpp
  bool shift();
  bool shift_double();
  bool shift_plain();
  bool bit_test();
  bool scan();
  bool count();
  bool count_ones();
  bool lowest_bit();
  bool field();
  bool pick_bits();

  // multiply.cpp
  bool multiply();
  bool multiply_to();
  bool multiply_plain();
  bool divide();
  bool add_carry();
  bool and_not();
  bool checksum();
  bool bounds();

  // strings.cpp
  bool string();
  bool string_step(bool first);
  void advance(Gpr pointer);
  bool same_pages(u64 source, u64 target) const;

  // stack.cpp
  bool stack_access(i64 offset, unsigned size, bool write, u64& linear);
  void move_stack(i64 bytes);
  bool push(u64 value);
  bool go(u64 target);
  bool push_operand();
  bool push_segment();
  bool push_all();
  bool push_flags();
  bool pop_operand();
  bool pop_all();
  bool pop_flags();
  bool enter();
  bool leave();
  bool call();
  bool call_return();
  bool jump();
  bool jump_if();
  bool loop();

  // vectors.cpp
  Vector vector(unsigned number);
  void set_vector(unsigned number, const Vector& value);
  void begin_mmx();
  bool load(u64 address, unsigned size, Vector& value);
  bool store(u64 address, unsigned size, const Vector& value);
  Vector first_source() { return vector(insn_.vex ? insn_.second : insn_.reg); }
  bool vector_load();
  bool vector_load_half();
  bool vector_store();
  bool vector_broadcast();
  bool vector_duplicate();
  bool vector_extend();
  bool vector_insert();
  bool vector_insert_single();
  bool vector_extract();
  bool vector_insert_half();
  bool vector_extract_half();
  bool vector_masked();
  bool vector_masked_bytes();
  bool vector_logic();
  bool load_state();
  bool store_state();
  unsigned state_offset() const;

  const Instruction& insn_;
  EmulatedProcessor& cpu_;
  GuestAccess& access_;
  u64 next_;
  bool again_ = false;
};

}  // namespace bunshin::vmm
