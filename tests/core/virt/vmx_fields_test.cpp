#include <set>

#include "tests/core/virt/vmx_fixture.h"

namespace bunshin::vmx {
namespace {

TEST(VmxFields, TakeNoPlaceTwice) {
  std::set<unsigned> taken;
  for (const FieldRow& row : field_rows()) {
    for (unsigned i = 0; i < bytes_of(row.field); ++i) {
      EXPECT_TRUE(taken.insert(offset_of(row.field) + i).second) << std::hex << static_cast<unsigned>(row.field);
    }
  }
  EXPECT_GE(*taken.begin(), fields_offset);
  EXPECT_LT(*taken.rbegin(), page_size);
}

TEST(VmxFields, HaveTheWidthAndKindThatTheirEncodingSays) {
  EXPECT_EQ(bytes_of(Field::GuestCs), 2u);
  EXPECT_EQ(bytes_of(Field::EptPointer), 8u);
  EXPECT_EQ(bytes_of(Field::ExitReason), 4u);
  EXPECT_EQ(kind_of(Field::ExitReason), FieldKind::ReadOnly);
  EXPECT_EQ(kind_of(Field::HostRip), FieldKind::Host);
  EXPECT_EQ(kind_of(Field::GuestRip), FieldKind::Guest);
  EXPECT_EQ(kind_of(Field::IoBitmapA), FieldKind::Control);
}

TEST(VmxFields, HaveAHighHalfOnlyOf64Bits) {
  const CpuProfile profile = resolved_profile();
  FieldOperand operand;
  ASSERT_TRUE(decode_field(profile, 0x2011, operand));
  EXPECT_TRUE(operand.high);
  EXPECT_EQ(operand.field, Field::TscOffset);
  EXPECT_FALSE(decode_field(profile, 0x4001, operand));
  EXPECT_FALSE(decode_field(profile, 0x6801, operand));
}

TEST(VmxFields, ExistOnlyWithTheirFeature) {
  const CpuProfile old = resolved_profile("GenuineIntel", {"msr", "vmx"});
  FieldOperand operand;
  EXPECT_TRUE(decode_field(old, 0x6800, operand));
  EXPECT_FALSE(decode_field(old, 0x201a, operand)) << "the EPT pointer";
  EXPECT_FALSE(decode_field(old, 0x401e, operand)) << "secondary controls";
  EXPECT_TRUE(decode_field(resolved_profile(), 0x201a, operand));
}

TEST(VmxFields, RefuseEncodingsThatNameNothing) {
  const CpuProfile profile = resolved_profile();
  FieldOperand operand;
  for (const u64 encoding : {u64{0x0006}, u64{0x1000}, u64{0x8000}, u64{0x6c18}, u64{0x7fff}, ~u64{0}, u64{1} << 32}) {
    EXPECT_FALSE(decode_field(profile, encoding, operand)) << std::hex << encoding;
  }
}

TEST(VmxFields, HoldEveryValueOfTheirWidth) {
  VmxMachine m;
  for (const FieldRow& row : field_rows()) {
    const u64 value = ~u64{0} >> (64 - 8 * bytes_of(row.field));
    m.set(row.field, value);
    EXPECT_EQ(m.vmcs().read(row.field), value);
    m.set(row.field, 0);
  }
}

}  // namespace
}  // namespace bunshin::vmx
