// The scanner of kernels' code against programs whose every instruction the test knows: what is reachable and does not trap, and
// nothing else, is rewritten.

#include <random>

#include <gtest/gtest.h>

#include "user_state_rig.h"

namespace bunshin::vmm {
namespace {

using Bytes = std::vector<u8>;

struct Item {
  Bytes bytes;
  bool rewritten = false;
  int target = -1;  ///< of a branch, as an item's number
  bool ends = false;
  u32 at = 0;
};

class Program {
 public:
  Program(std::mt19937_64& random, u32 at) {
    static const std::vector<Item> kinds = {
        {{0x90}},
        {{0x89, 0xd8}},                                                  // MOV EAX, EBX
        {{0x8b, 0x84, 0x9c, 0x9c, 0x9d, 0x0f, 0x01}},                    // MOV EAX, [ESP+EBX*4+…]
        {{0xb8, 0x9c, 0x9d, 0x0e, 0x16}},                                // MOV EAX, what looks like others
        {{0x0f, 0xb6, 0x45, 0x9c}},                                      // MOVZX
        {{0xf7, 0x05, 0x9d, 0x9d, 0x9d, 0x9d, 0x9c, 0x9c, 0x9c, 0x9c}},  // TEST
        {{0xd9, 0x45, 0x08}},                                            // FLD
        {{0x66, 0xc7, 0x00, 0x9c, 0x9d}},                                // MOV word
        {{0x8e, 0xd8}},                                                  // MOV DS, AX
        {{0x8c, 0xd8}},                                                  // MOV EAX, DS
        {{0x9c}, true},
        {{0x9d}, true},
        {{0x66, 0x9c}, true},
        {{0x0f, 0x01, 0x00}, true},  // SGDT
        {{0x0f, 0x01, 0xe0}, true},  // SMSW
        {{0x0f, 0x00, 0xc8}, true},  // STR
        {{0x0f, 0x02, 0xc1}, true},  // LAR
        {{0x8c, 0xc8}, true},        // MOV EAX, CS
        {{0x0e}, true},
        {{0x0f, 0xa2}, true},                              // CPUID
        {{0xff, 0xd0}, true},                              // CALL EAX
        {{0xff, 0x24, 0x85, 0, 0, 0, 0}, true, -1, true},  // JMP [EAX*4]
        {{0xc3}, false, -1, true},
        {{0x0f, 0x0b}, false, -1, true},
    };
    const unsigned count = 200 + random() % 200;
    for (unsigned i = 0; i < count; ++i) {
      Item item = random() % 5 == 0 ? branch(random) : kinds[random() % kinds.size()];
      if (item.target == 0) item.target = static_cast<int>(random() % count);
      item.at = at;
      at += static_cast<u32>(item.bytes.size());
      items.push_back(item);
    }
    items.push_back({{0xc3}, false, -1, true, at});
    for (Item& item : items) set_displacement(item);
  }

  /// The second reading: from item `first` along every way.
  std::vector<bool> reachable(unsigned first) const {
    std::vector<bool> seen(items.size());
    std::vector<unsigned> open{first};
    while (!open.empty()) {
      const unsigned i = open.back();
      open.pop_back();
      if (i >= items.size() || seen[i]) continue;
      seen[i] = true;
      if (items[i].target >= 0) open.push_back(static_cast<unsigned>(items[i].target));
      if (!items[i].ends) open.push_back(i + 1);
    }
    return seen;
  }

  std::vector<Item> items;

 private:
  static Item branch(std::mt19937_64& random) {
    switch (random() % 4) {
      case 0: return {{0xe8, 0, 0, 0, 0}, false, 0};
      case 1: return {{0xe9, 0, 0, 0, 0}, false, 0, true};
      default: return {{0x0f, static_cast<u8>(0x80 | random() % 16), 0, 0, 0, 0}, false, 0};
    }
  }
  void set_displacement(Item& item) {
    if (item.target < 0) return;
    const u32 distance = items[static_cast<unsigned>(item.target)].at - item.at - static_cast<u32>(item.bytes.size());
    for (unsigned i = 0; i < 4; ++i) item.bytes[item.bytes.size() - 4 + i] = static_cast<u8>(distance >> 8 * i);
  }
};

class Scanner : public testing::Test {
 protected:
  void put(const Program& program) {
    for (const Item& item : program.items) rig.put_code(item.at, item.bytes);
  }
  void enter_at(u32 at) {
    rig.execution.set(StateField::rip, at);
    rig.machine.in_user = [](const UserSpace&, UserState& state) { state.vector = 0x20; };
    rig.execution.enter();
  }
  UserStateRig rig{true};
};

TEST_F(Scanner, RewritesWhatIsReachableAndNothingElse) {
  std::mt19937_64 random(3);
  u32 at = 0x10'0000;
  unsigned rewritten = 0;
  for (unsigned round = 0; round < 60; ++round) {
    const Program program(random, at + static_cast<u32>(random() % 64));
    put(program);
    const unsigned first = static_cast<unsigned>(random() % program.items.size());
    enter_at(program.items[first].at);
    const std::vector<bool> seen = program.reachable(first);
    for (unsigned i = 0; i < program.items.size(); ++i) {
      const Item& item = program.items[i];
      const bool expected = seen[i] && item.rewritten;
      ASSERT_EQ(rig.load(item.at, 1), expected ? 0xf4u : item.bytes[0]) << "round " << round << " item " << i;
      for (unsigned b = 1; b < item.bytes.size(); ++b) ASSERT_EQ(rig.load(item.at + b, 1), item.bytes[b]);
      rewritten += expected ? 1 : 0;
      u8 original[1] = {static_cast<u8>(rig.load(item.at, 1))};
      rig.execution.restore_code(GuestPhysical(item.at), original);
      ASSERT_EQ(original[0], item.bytes[0]);
    }
    ASSERT_TRUE(rig.execution.traps_writes(GuestPhysical(program.items[first].at).page()));
    at += 0x4000;
  }
  EXPECT_GT(rewritten, 500u);
}

TEST_F(Scanner, LooksAtWhatIsWrittenAgain) {
  const u8 before[] = {0x90, 0xb8, 1, 2, 3, 4, 0x9c, 0xc3}, after[] = {0x9c, 0x58, 0x90, 0x9d, 0xc3};
  rig.put_code(UserStateRig::code, before);
  enter_at(UserStateRig::code);
  EXPECT_EQ(rig.load(UserStateRig::code + 6, 1), 0xf4u);
  rig.put_code(UserStateRig::code + 1, after);
  rig.execution.memory_written(GuestPhysical(UserStateRig::code + 1), sizeof(after));
  const u8 now[] = {0x90, 0xf4, 0x58, 0x90, 0xf4, 0xc3};
  for (unsigned i = 0; i < sizeof(now); ++i) EXPECT_EQ(rig.load(UserStateRig::code + i, 1), now[i]) << i;
}

/// Written a byte at a time, code comes to what it comes to at once.
TEST_F(Scanner, IsNotFooledByHalfAnInstruction) {
  std::mt19937_64 random(17);
  for (unsigned round = 0; round < 200; ++round) {
    const u32 at = 0x10'0000 + round * 0x1000;
    Bytes code(96), patch(4 + random() % 12);
    for (u8& byte : code) byte = std::array<u8, 6>{0x90, 0x9c, 0x58, 0x0f, 0xb8, 0x40}[random() % 6];
    code.push_back(0xc3);
    rig.put_code(at, code);
    enter_at(at);
    const std::size_t begin = random() % 60;
    for (u8& byte : patch) byte = std::array<u8, 5>{0x90, 0x9d, 0xb8, 0x0f, 0x1f}[random() % 5];
    for (std::size_t i = 0; i < patch.size(); ++i) {
      code[begin + i] = patch[i];
      rig.put_code(at + static_cast<u32>(begin + i), std::span(patch).subspan(i, 1));
      rig.execution.memory_written(GuestPhysical(at + begin + i), 1);
    }
    for (std::size_t i = 0; i < code.size(); ++i) {
      u8 byte[1] = {static_cast<u8>(rig.load(at + i, 1))};
      rig.execution.restore_code(GuestPhysical(at + i), byte);
      ASSERT_EQ(byte[0], code[i]) << "round " << round << " byte " << i;
    }
  }
}

/// A return to what has just been put on the stack is a branch, and so is one that another stack decides.
TEST_F(Scanner, KnowsBranchesMadeOfReturns) {
  const struct {
    Bytes code;
    std::vector<unsigned> traps;
  } cases[] = {
      {{0x89, 0x04, 0x24, 0xc3}, {3}},                    // MOV [ESP], EAX; RET
      {{0x50, 0xc2, 0x08, 0x00}, {1}},                    // PUSH EAX; RET 8
      {{0x68, 1, 2, 3, 4, 0xc3}, {5}},                    // PUSH; RET
      {{0xff, 0x30, 0xc3}, {2}},                          // PUSH [EAX]; RET
      {{0x89, 0x44, 0x24, 0x04, 0xc3}, {}},               // MOV [ESP+4], EAX; RET
      {{0x58, 0xc3}, {}},                                 // POP EAX; RET
      {{0x8b, 0x25, 0, 0, 0, 0, 0x5d, 0xc3}, {0}},        // MOV ESP, [0]; POP EBP; RET
      {{0x74, 3, 0x89, 0x04, 0x24, 0xc3}, {5}},           // JZ to the RET
      {{0xe8, 2, 0, 0, 0, 0xeb, 0xfe, 0x50, 0xc3}, {8}},  // CALL; JMP; PUSH EAX; RET
  };
  u32 at = UserStateRig::code;
  for (const auto& c : cases) {
    rig.put_code(at, c.code);
    enter_at(at);
    std::vector<unsigned> traps;
    for (unsigned i = 0; i < c.code.size(); ++i) {
      if (rig.load(at + i, 1) == 0xf4) traps.push_back(i);
    }
    EXPECT_EQ(traps, c.traps) << at;
    at += 0x40;
  }
}

TEST_F(Scanner, GivesBackWhatItGivesUp) {
  std::mt19937_64 random(5);
  const Program program(random, UserStateRig::code);
  put(program);
  enter_at(program.items[0].at);
  for (u32 page = UserStateRig::code; page < UserStateRig::code + 0x4000; page += page_size) {
    EXPECT_TRUE(rig.execution.give_up(GuestPhysical(page)));
    EXPECT_FALSE(rig.execution.traps_writes(GuestPhysical(page)));
  }
  for (const Item& item : program.items) EXPECT_EQ(rig.load(item.at, 1), item.bytes[0]);
}

/// Whatever the bytes are, the hypervisor survives them, and can take back all that it changed.
TEST_F(Scanner, SurvivesAnyBytes) {
  std::mt19937_64 random(11);
  std::vector<u8> bytes(0x4000);
  for (unsigned round = 0; round < 200; ++round) {
    for (u8& byte : bytes) byte = static_cast<u8>(random());
    rig.put_code(UserStateRig::code, bytes);
    enter_at(UserStateRig::code + static_cast<u32>(random() % bytes.size()));
    for (u32 page = 0; page < UserStateRig::guest_bytes; page += page_size) rig.execution.give_up(GuestPhysical(page));
    std::vector<u8> now(bytes.size());
    rig.memory.read(GuestPhysical(UserStateRig::code), now);
    ASSERT_EQ(now, bytes);
  }
}

}  // namespace
}  // namespace bunshin::vmm
