// The hypervisor's configuration, good, bad and hostile.

#include <random>
#include <string>

#include <gtest/gtest.h>

#include "vmm-model/config.h"

namespace bunshin::vmm {
namespace {

ConfigProblem parse(std::string_view text) {
  static VmmConfig config;
  return parse_config(text, config);
}

TEST(VmmConfig, ReadsEveryKey) {
  VmmConfig config;
  const ConfigProblem problem = parse_config(
      "# a comment\npaging = shadow\nnested_page=1G\n slice = 500us \n[guest a]\nmemory = 256MiB\nkernel = vmlinuz\n"
      "initrd = i.gz\ncmdline = console=ttyS0 a=b\ndisk = d.img\n[guest b]\nkernel = 2\npaging = vtlb\n",
      config);
  EXPECT_EQ(problem.problem, "");
  ASSERT_EQ(config.guest_count, 2u);
  EXPECT_EQ(config.nested_page, u64{1} << 30);
  EXPECT_EQ(config.slice_us, 500u);
  EXPECT_EQ(config.guests[0].memory, u64{256} << 20);
  EXPECT_EQ(config.guests[0].cmdline, "console=ttyS0 a=b");
  EXPECT_EQ(config.guests[0].initrds[0].module, "i.gz");
  EXPECT_EQ(config.guests[0].disk, "d.img");
  EXPECT_EQ(config.guests[0].paging, PagingChoice::Shadow);
  EXPECT_EQ(config.guests[1].paging, PagingChoice::VirtualTlb);
}

TEST(VmmConfig, InitrdsAreInTheOrderOfTheirLines) {
  VmmConfig config;
  EXPECT_EQ(
      parse_config("[guest a]\nkernel = k\ninitrd = dom0 \t console=hvc0  a=b \ninitrd = 3\n[guest b]\nkernel = k\n",
                   config)
          .problem,
      "");
  const GuestConfig& guest = config.guests[0];
  ASSERT_EQ(guest.initrd_count, 2u);
  EXPECT_EQ(guest.initrds[0].module, "dom0");
  EXPECT_EQ(guest.initrds[0].arguments, "console=hvc0  a=b");
  EXPECT_EQ(guest.initrds[1].module, "3");
  EXPECT_EQ(guest.initrds[1].arguments, "");
  EXPECT_EQ(config.guests[1].initrd_count, 0u);
}

TEST(VmmConfig, AnInitrdTooManyHasItsPlace) {
  std::string text = "[guest a]\nkernel = k\n";
  for (unsigned i = 0; i < GuestConfig::max_initrds; ++i) text += "initrd = i\n";
  EXPECT_EQ(parse(text).problem, "");
  text += " initrd = more\n";
  const ConfigProblem problem = parse(text);
  EXPECT_EQ(problem.problem, "too many initrds: a guest has at most 32");
  EXPECT_EQ(problem.line, 3 + GuestConfig::max_initrds);
  EXPECT_EQ(problem.column, 2u);
  EXPECT_EQ(problem.text, " initrd = more");
}

TEST(VmmConfig, SaysWhereAndWhat) {
  const ConfigProblem problem = parse("paging = nested\n  colour = red\n");
  EXPECT_EQ(problem.line, 2u);
  EXPECT_EQ(problem.column, 3u);
  EXPECT_NE(problem.problem.find("unknown key"), std::string_view::npos);
  EXPECT_EQ(problem.text, "  colour = red");
}

TEST(VmmConfig, RefusesWhatMakesNoSense) {
  for (const char* text :
       {"", "paging = fast\n", "slice = 10\n", "slice = 99999999999999999999s\n", "nested_page = 8K\n", "[guest]\n",
        "[guest a]\n", "[guest a]\nkernel = k\n[guest a]\nkernel = k\n", "[guest a]\nkernel=k\nmemory = 5\n",
        "[guest a]\nkernel=k\nmemory = 18446744073709551615G\n", "[guest a]\nkernel =\n", "[quest a]\n", "kernel = k\n",
        "[guest a]\nkernel=k\nmemory = 2T\n"}) {
    EXPECT_NE(parse(text).problem, "") << text;
  }
}

TEST(VmmConfig, TakesManyGuestsButNotTooMany) {
  std::string text;
  for (unsigned i = 0; i < VmmConfig::max_guests; ++i) text += "[guest g" + std::to_string(i) + "]\nkernel = k\n";
  EXPECT_EQ(parse(text).problem, "");
  EXPECT_NE(parse(text + "[guest more]\nkernel = k\n").problem, "");
}

TEST(VmmConfig, SurvivesRandomBytes) {
  std::mt19937_64 random(1);
  constexpr std::string_view pieces[] = {"[guest ", "]",  "=",      "kernel", "memory", "\n",
                                         " ",       "1G", "paging", "vtlb",   "#"};
  for (unsigned round = 0; round < 20'000; ++round) {
    std::string text;
    for (unsigned i = random() % 40; i > 0; --i) {
      if (random() % 4 == 0) {
        text += static_cast<char>(random());
      } else {
        text += pieces[random() % std::size(pieces)];
      }
    }
    parse(text);
  }
}

}  // namespace
}  // namespace bunshin::vmm
