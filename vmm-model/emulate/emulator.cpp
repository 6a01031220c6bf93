#include "vmm-model/emulate/emulator.h"

#include "vmm-model/emulate/emulation.h"

namespace bunshin::vmm {

using enum Operation;

constexpr Emulation::Row Emulation::rows[] = {
    {Add, &Emulation::alu},
    {Or, &Emulation::alu},
    {Adc, &Emulation::alu},
    {Sbb, &Emulation::alu},
    {And, &Emulation::alu},
    {Sub, &Emulation::alu},
    {Xor, &Emulation::alu},
    {Cmp, &Emulation::alu},
    {RotateLeft, &Emulation::shift},
    {RotateRight, &Emulation::shift},
    {RotateCarryLeft, &Emulation::shift},
    {RotateCarryRight, &Emulation::shift},
    {ShiftLeft, &Emulation::shift},
    {ShiftRight, &Emulation::shift},
    {ShiftLeftToo, &Emulation::shift},
    {ShiftArithmetic, &Emulation::shift},
    {ShiftDoubleLeft, &Emulation::shift_double},
    {ShiftDoubleRight, &Emulation::shift_double},
    {Mov, &Emulation::move},
    {MovZero, &Emulation::move},
    {MovSign, &Emulation::move},
    {MovSwapped, &Emulation::move_swapped},
    {MoveIf, &Emulation::move_if},
    {SetIf, &Emulation::set_if},
    {StoreSegment, &Emulation::store_segment},
    {LoadAddress, &Emulation::load_address},
    {Test, &Emulation::alu},
    {Exchange, &Emulation::exchange},
    {ExchangeAdd, &Emulation::exchange},
    {CompareExchange, &Emulation::compare_exchange},
    {CompareExchangePair, &Emulation::compare_exchange_pair},
    {BitTest, &Emulation::bit_test},
    {BitSet, &Emulation::bit_test},
    {BitReset, &Emulation::bit_test},
    {BitComplement, &Emulation::bit_test},
    {ScanForward, &Emulation::scan},
    {ScanBackward, &Emulation::scan},
    {CountTrailing, &Emulation::count},
    {CountLeading, &Emulation::count},
    {CountOnes, &Emulation::count_ones},
    {Increment, &Emulation::unary},
    {Decrement, &Emulation::unary},
    {Not, &Emulation::unary},
    {Negate, &Emulation::unary},
    {Multiply, &Emulation::multiply},
    {MultiplySigned, &Emulation::multiply},
    {MultiplyTo, &Emulation::multiply_to},
    {Divide, &Emulation::divide},
    {DivideSigned, &Emulation::divide},
    {AddCarry, &Emulation::add_carry},
    {AddOverflow, &Emulation::add_carry},
    {Checksum, &Emulation::checksum},
    {AndNot, &Emulation::and_not},
    {ResetLowest, &Emulation::lowest_bit},
    {MaskLowest, &Emulation::lowest_bit},
    {IsolateLowest, &Emulation::lowest_bit},
    {ZeroHigh, &Emulation::field},
    {ExtractField, &Emulation::field},
    {ExtractBits, &Emulation::pick_bits},
    {DepositBits, &Emulation::pick_bits},
    {MultiplyPlain, &Emulation::multiply_plain},
    {ShiftPlain, &Emulation::shift_plain},
    {Translate, &Emulation::translate},
    {Bounds, &Emulation::bounds},
    {StoreString, &Emulation::string},
    {MoveString, &Emulation::string},
    {LoadString, &Emulation::string},
    {CompareString, &Emulation::string},
    {ScanString, &Emulation::string},
    {Push, &Emulation::push_operand},
    {PushSegment, &Emulation::push_segment},
    {PushAll, &Emulation::push_all},
    {PushFlags, &Emulation::push_flags},
    {Pop, &Emulation::pop_operand},
    {PopAll, &Emulation::pop_all},
    {PopFlags, &Emulation::pop_flags},
    {Enter, &Emulation::enter},
    {Leave, &Emulation::leave},
    {Call, &Emulation::call},
    {Return, &Emulation::call_return},
    {Jump, &Emulation::jump},
    {JumpIf, &Emulation::jump_if},
    {Loop, &Emulation::loop},
    {VectorLoad, &Emulation::vector_load},
    {VectorLoadLow, &Emulation::vector_load_half},
    {VectorLoadHigh, &Emulation::vector_load_half},
    {VectorStore, &Emulation::vector_store},
    {VectorStoreHigh, &Emulation::vector_store},
    {VectorBroadcast, &Emulation::vector_broadcast},
    {VectorDuplicate, &Emulation::vector_duplicate},
    {VectorExtendZero, &Emulation::vector_extend},
    {VectorExtendSign, &Emulation::vector_extend},
    {VectorInsert, &Emulation::vector_insert},
    {VectorInsertSingle, &Emulation::vector_insert_single},
    {VectorExtract, &Emulation::vector_extract},
    {VectorInsertHalf, &Emulation::vector_insert_half},
    {VectorExtractHalf, &Emulation::vector_extract_half},
    {VectorMaskedLoad, &Emulation::vector_masked},
    {VectorMaskedStore, &Emulation::vector_masked},
    {VectorMaskedBytes, &Emulation::vector_masked_bytes},
    {VectorAnd, &Emulation::vector_logic},
    {VectorAndNot, &Emulation::vector_logic},
    {VectorOr, &Emulation::vector_logic},
    {VectorXor, &Emulation::vector_logic},
    {LoadState, &Emulation::load_state},
    {StoreState, &Emulation::store_state},
    {FlushLine, &Emulation::flush_line},
    {Nothing, &Emulation::nothing},
};

EmulationResult Emulation::run() {
  static constexpr auto by_operation = [] {
    std::array<Handler, operations> handlers{};
    for (const Row& row : rows) handlers[static_cast<unsigned>(row.operation)] = row.handler;
    return handlers;
  }();
  const Handler handler = by_operation[static_cast<unsigned>(insn_.operation)];
  if (handler == nullptr) return EmulationResult::Unknown;
  if (!(this->*handler)()) return EmulationResult::Fault;
  if (again_) return EmulationResult::Again;
  cpu_.rip = next_;
  return EmulationResult::Done;
}

EmulationResult emulate(const Instruction& instruction, EmulatedProcessor& processor, GuestAccess& access) {
  return Emulation(instruction, processor, access).run();
}

}  // namespace bunshin::vmm
