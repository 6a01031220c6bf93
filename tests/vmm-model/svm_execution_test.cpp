// AMD-V: under which tag guests run, and what of the TLB is flushed when.

#include <set>

#include <gtest/gtest.h>

#include "host_machine.h"
#include "vmm-model/arch/svm/svm_execution.h"

namespace bunshin::vmm::svm {
namespace {

class Tags : public testing::Test {
 protected:
  struct Entry {
    u64 asid = 0, flush = 0;
    bool operator==(const Entry&) const = default;
  };

  /// A processor with ASIDs 0 to `asids` - 1.
  void enable(u32 asids, bool flush_by_asid) {
    machine_.leaves[0x8000'0000].eax = 0x8000'000a;
    machine_.leaves[0x8000'0001].ecx = 1 << 2;
    machine_.leaves[0x8000'000a] = {1, asids, 0, flush_by_asid ? 1u << 6 : 0u};
    pool_.add(0x1000, 16 << 20);
    machine_.in_vmcb = [this](HostPhysical vmcb) {
      entry_ = {machine_.load(vmcb + control::asid, 4), machine_.load(vmcb + control::tlb_control, 1)};
    };
    ASSERT_EQ(processor_.enable(machine_, pool_), "");
  }
  GuestExecution& guest() { return *processor_.create_execution(machine_, pool_); }
  Entry enter(GuestExecution& guest) {
    guest.enter();
    return entry_;
  }

  HostMachine machine_{32 << 20};
  PagePool pool_{machine_};
  SvmProcessor processor_;
  Entry entry_;
};

TEST_F(Tags, EachGuestHasItsOwnAndTurnsFlushNothing) {
  enable(16, true);
  GuestExecution &first = guest(), &second = guest();
  const Entry a = enter(first), b = enter(second);
  EXPECT_NE(a.asid, 0u) << "the host's";
  EXPECT_NE(a.asid, b.asid);
  for (unsigned turn = 0; turn < 3; ++turn) {
    EXPECT_EQ(enter(first), (Entry{a.asid, 0}));
    EXPECT_EQ(enter(second), (Entry{b.asid, 0}));
  }
}

TEST_F(Tags, AFlushIsOfOneGuestAlone) {
  enable(16, true);
  GuestExecution &first = guest(), &second = guest();
  const Entry a = enter(first), b = enter(second);
  first.flush_translations();
  EXPECT_EQ(enter(second), (Entry{b.asid, 0}));
  EXPECT_EQ(enter(first), (Entry{a.asid, flush_guest}));
  EXPECT_EQ(enter(first), (Entry{a.asid, 0})) << "once";
}

TEST_F(Tags, WithoutFlushByAsidAFlushIsANewTag) {
  enable(16, false);
  GuestExecution &first = guest(), &second = guest();
  const Entry a = enter(first), b = enter(second);
  first.flush_translations();
  const Entry flushed = enter(first);
  EXPECT_EQ(flushed.flush, 0u);
  EXPECT_NE(flushed.asid, a.asid);
  EXPECT_NE(flushed.asid, b.asid);
  EXPECT_EQ(enter(second), (Entry{b.asid, 0}));
}

// 3 tags for 8 guests that flush now and then: since everything was flushed last, no tag has been two guests', or one guest's
// before and after a flush.
TEST_F(Tags, NoTagIsReusedBeforeEverythingIsFlushed) {
  enable(4, false);
  std::vector<GuestExecution*> guests;
  for (unsigned i = 0; i < 8; ++i) guests.push_back(&guest());
  std::map<u64, std::pair<unsigned, unsigned>> used;  // tag to guest and its flushes
  std::array<unsigned, 8> flushes{};
  unsigned whole = 0;
  for (unsigned round = 0; round < 1000; ++round) {
    const unsigned who = round * 7 / 3 % 8;
    if (round % 5 == 0) {
      guests[who]->flush_translations();
      ++flushes[who];
    }
    const Entry entered = enter(*guests[who]);
    ASSERT_GE(entered.asid, 1u);
    ASSERT_LE(entered.asid, 3u);
    if (entered.flush == flush_all) {
      used.clear();
      ++whole;
    }
    const std::pair owner(who, flushes[who]);
    const auto [found, fresh] = used.emplace(entered.asid, owner);
    ASSERT_EQ(found->second, owner) << round;
  }
  EXPECT_GT(whole, 10u);
}

}  // namespace
}  // namespace bunshin::vmm::svm
