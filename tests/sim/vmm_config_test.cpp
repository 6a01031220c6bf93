// The group `vmm`: what is wrong with it is said with its place, and what is right becomes a configuration that the
// hypervisor itself reads as it was meant.

#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/config/machine_config.h"
#include "sim/vmm/hypervisor_boot.h"
#include "sim/vmm/hypervisor_statistics.h"
#include "vmm-model/config.h"

namespace bunshin {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

MachineConfig read(const std::string& text, const std::filesystem::path& directory = "/lab") {
  return read_config(parse_config_tree(text, "lab.yaml", directory));
}

std::string error_of(const std::string& text) {
  try {
    read(text);
  } catch (const ConfigError& e) {
    return e.what();
  }
  return "no error";
}

/// A folder with an image, two kernels that are none, and two RAM disks.
class Vmm : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::temp_directory_path() /
                 ("bunshin-vmm-config-" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    std::filesystem::create_directories(directory_);
    for (const char* name : {"image", "kernel", "other kernel", "disk", "more"})
      std::ofstream(directory_ / name) << name;
    std::ofstream(directory_ / "image") << "bunshin-vmm: greets";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  HypervisorBoot boot(const std::string& text) const { return HypervisorBoot(read(text, directory_)); }
  std::filesystem::path directory_;
};

constexpr const char* guest_part = "guest:\n  kernel: kernel\n  initrd: disk\n  cmdline: run=check\n";

TEST(VmmKeys, BadValuesNameTheirPlace) {
  EXPECT_THAT(error_of("vmm:\n  paging: fast\n"), StartsWith("lab.yaml:2:11: vmm.paging: 'fast' is not one of nested"));
  EXPECT_THAT(error_of("vmm:\n  nested_page: 3M\n"), StartsWith("lab.yaml:2:16: vmm.nested_page: "));
  EXPECT_THAT(error_of("vmm:\n  slice: 10us\n"), StartsWith("lab.yaml:2:10: vmm.slice: 10us is out of range"));
  EXPECT_THAT(error_of("vmm:\n  pagign: nested\n"),
              AllOf(StartsWith("lab.yaml:2:"), HasSubstr("nearest valid key is vmm.paging")));
  EXPECT_THAT(error_of("vmm: {binding: bare, guest_memory: 5000000}\n"),
              HasSubstr("vmm.guest_memory: must be a multiple"));
  EXPECT_THAT(error_of("vmm: {binding: bare, guest_memory: 512MiB}\n"),
              HasSubstr("vmm.guest_memory: leaves the hypervisor"));
  EXPECT_THAT(error_of("vmm: {binding: bare}\nguest: {disks: [a.img, b.img]}\n"),
              AllOf(StartsWith("lab.yaml:2:"), HasSubstr("guest.disks: a guest of the hypervisor has one disk")));
}

TEST(VmmKeys, AListOfGuestsIsCheckedGuestByGuest) {
  const std::string head = "vmm:\n  binding: bare\n  guests:\n    - {name: a, kernel: k}\n";
  EXPECT_EQ(error_of(head), "no error");
  EXPECT_THAT(error_of(head + "    - {name: a, kernel: k}\n"),
              StartsWith("lab.yaml:5:14: vmm.guests[1].name: there are two"));
  EXPECT_THAT(error_of(head + "    - {name: 'b]', kernel: k}\n"),
              StartsWith("lab.yaml:5:14: vmm.guests[1].name: a guest's"));
  EXPECT_THAT(error_of(head + "    - {name: b}\n"), HasSubstr("vmm.guests[1].kernel: is not set"));
  EXPECT_THAT(error_of(head + "    - {name: b, kernel: k, memory: 1GiB}\n"),
              StartsWith("lab.yaml:5:36: vmm.guests[1].memory: the guests'"));
  EXPECT_THAT(error_of(head + "    - {name: b, kernel: k, memroy: 1MiB}\n"),
              HasSubstr("nearest valid key is vmm.guests[1].memory"));
  EXPECT_THAT(error_of(head + "    - b\n"), StartsWith("lab.yaml:5:7: vmm.guests[1]: expected a group"));
  EXPECT_THAT(error_of("vmm:\n  guests: {name: a}\n"), HasSubstr("vmm.guests: expected a list of groups"));
}

TEST(VmmKeys, AWrittenConfigurationIsReadBackTheSame) {
  const MachineConfig config = read(
      "vmm:\n  binding: bare\n  slice: 3ms\n  guests: [{name: a, kernel: k, cmdline: 'x \"y\"', limit: 2s}, "
      "{name: b, kernel: /k, paging: vtlb}]\n");
  const std::string text = write_config(config);
  const MachineConfig again = read(text);
  EXPECT_EQ(write_config(again), text);
  ASSERT_EQ(again.vmm.guests.size(), 2u);
  EXPECT_EQ(again.vmm.slice, 3000u);
  EXPECT_EQ(again.vmm.guests[0].kernel, "/lab/k");
  EXPECT_EQ(again.vmm.guests[0].cmdline, "x \"y\"");
  EXPECT_EQ(again.vmm.guests[0].limit, 2'000'000u);
  EXPECT_EQ(again.vmm.guests[1].paging, "vtlb");
}

TEST_F(Vmm, TheOneGuestIsTheExperiments) {
  const HypervisorBoot boot = this->boot(
      std::string(guest_part) + "machine: {memory: 256MiB}\nvmm: {binding: bare, image: image, paging: shadow}\n");
  vmm::VmmConfig read_by_it;
  const vmm::ConfigProblem problem = vmm::parse_config(boot.configuration(), read_by_it);
  ASSERT_EQ(problem.problem, "") << boot.configuration();
  ASSERT_EQ(read_by_it.guest_count, 1u);
  const vmm::GuestConfig& guest = read_by_it.guests[0];
  EXPECT_EQ(guest.paging, vmm::PagingChoice::Shadow);
  EXPECT_EQ(guest.memory, u64{192} << 20);
  EXPECT_EQ(guest.cmdline, "run=check");
  const GuestFiles files = boot.files();
  ASSERT_EQ(files.modules.size(), 3u);
  EXPECT_EQ(files.kernel, (directory_ / "image").string());
  EXPECT_EQ(guest.kernel, "1");
  EXPECT_EQ(files.modules[1].name(), (directory_ / "kernel").string());
  ASSERT_EQ(guest.initrd_count, 1u);
  EXPECT_EQ(guest.initrds[0].module, "2");
  EXPECT_EQ(files.modules[2].name(), (directory_ / "disk").string());
}

TEST_F(Vmm, GuestsOfAListReachTheHypervisor) {
  const HypervisorBoot boot = this->boot(
      "vmm:\n  binding: bare\n  image: image\n  paging: vtlb\n  nested_page: 1G\n  slice: 1500us\n  guests:\n"
      "    - {name: a, kernel: 'other kernel', memory: 16MiB, paging: nested, limit: 250ms}\n"
      "    - {name: b, kernel: kernel, memory: 2MiB, initrd: disk, disk: more, cmdline: 'a = [b] # c'}\n");
  vmm::VmmConfig read_by_it;
  ASSERT_EQ(vmm::parse_config(boot.configuration(), read_by_it).problem, "") << boot.configuration();
  EXPECT_EQ(read_by_it.nested_page, u64{1} << 30);
  EXPECT_EQ(read_by_it.slice_us, 1500u);
  ASSERT_EQ(read_by_it.guest_count, 2u);
  EXPECT_EQ(read_by_it.guests[0].name, "a");
  EXPECT_EQ(read_by_it.guests[0].paging, vmm::PagingChoice::Nested);
  EXPECT_EQ(read_by_it.guests[0].limit_us, 250'000u);
  EXPECT_EQ(read_by_it.guests[0].memory, u64{16} << 20);
  EXPECT_EQ(read_by_it.guests[1].paging, vmm::PagingChoice::VirtualTlb);
  EXPECT_EQ(read_by_it.guests[1].cmdline, "a = [b] # c");
  EXPECT_EQ(read_by_it.guests[1].disk, "4");
}

TEST_F(Vmm, InitrdsReachTheHypervisorWithTheirArguments) {
  std::ofstream(directory_ / "disk one") << "disk";
  const HypervisorBoot boot = this->boot(
      "vmm:\n  binding: bare\n  image: image\n  guests:\n"
      "    - {name: a, kernel: kernel, initrd: ['disk one console=hvc0 x=1,2', more, more again]}\n"
      "    - {name: b, kernel: kernel, initrd: 'disk x,more'}\n"
      "    - {name: c, kernel: kernel, initrd: disk}\n");
  vmm::VmmConfig read_by_it;
  ASSERT_EQ(vmm::parse_config(boot.configuration(), read_by_it).problem, "") << boot.configuration();
  const auto initrds = [&](unsigned guest) {
    std::string text;
    for (unsigned i = 0; i < read_by_it.guests[guest].initrd_count; ++i) {
      const vmm::InitrdConfig& one = read_by_it.guests[guest].initrds[i];
      text += std::string(one.module) + "(" + std::string(one.arguments) + ")";
    }
    return text;
  };
  EXPECT_EQ(initrds(0), "2(console=hvc0 x=1,2)3()3(again)");
  EXPECT_EQ(initrds(1), "4(x)3()");
  EXPECT_EQ(initrds(2), "4()");
  EXPECT_EQ(boot.files().modules.size(), 5u);
}

/// Linux has no arguments for a RAM disk: what there is, is the file's name, as without the hypervisor.
TEST_F(Vmm, ALinuxKernelsInitrdIsAFileName) {
  std::string kernel(0x400, '\0');
  kernel.replace(0x1fe, 2, "\x55\xaa").replace(0x202, 4, "HdrS");
  std::ofstream(directory_ / "kernel") << kernel;
  std::ofstream(directory_ / "disk one") << "disk";
  const std::string vmm_part = "vmm: {binding: bare, image: image}\n";
  const HypervisorBoot good = boot("guest: {kernel: kernel, initrd: [disk one, disk]}\n" + vmm_part);
  EXPECT_THAT(good.configuration(), HasSubstr("initrd = 2\ninitrd = 3\n"));
  EXPECT_THROW(boot("guest: {kernel: kernel, initrd: [disk two]}\n" + vmm_part), std::runtime_error);
}

TEST(VmmKeys, InitrdsBeyondTheBoundAndLinesInThemNameTheirKey) {
  std::string many = "[a";
  for (unsigned i = 1; i < vmm::GuestConfig::max_initrds; ++i) many += ", a";
  const std::string head = "vmm: {binding: bare}\nguest: {kernel: k, initrd: ";
  EXPECT_EQ(error_of(head + many + "]}\n"), "no error");
  EXPECT_THAT(error_of(head + many + ", a]}\n"),
              StartsWith("lab.yaml:2:20: guest.initrd: a guest of the hypervisor has at most 32"));
  EXPECT_THAT(error_of(head + "[\"a b\\ndisk = 2\"]}\n"), HasSubstr("guest.initrd: must be one line each"));
  EXPECT_THAT(error_of("vmm: {binding: bare, guests: [{name: a, kernel: k, initrd: " + many + ", a]}]}\n"),
              HasSubstr("vmm.guests[0].initrd: a guest of the hypervisor has at most 32"));
}

TEST_F(Vmm, AFileThatSeveralGuestsHaveIsLoadedOnce) {
  const HypervisorBoot boot = this->boot(
      "vmm: {binding: bare, image: image, guests: [{name: a, kernel: kernel}, {name: b, kernel: kernel, initrd: "
      "disk}]}\n");
  EXPECT_EQ(boot.files().modules.size(), 3u);
}

/// The image left those beyond its bound out without a word.
TEST_F(Vmm, MoreFilesThanTheImageTakesAreAnError) {
  std::string initrds = "x0";
  for (unsigned i = 0; i < 63; ++i) {
    std::ofstream(directory_ / fmt::format("x{}", i)) << "module";
    if (i != 0) initrds += fmt::format("{}x{}", i == 31 ? "]}, {name: b, kernel: kernel, initrd: [" : ", ", i);
  }
  const std::string head = "vmm: {image: image, guests: [{name: a, kernel: kernel, initrd: [", tail = "]}], binding: ";
  EXPECT_EQ(boot(head + initrds.substr(0, initrds.rfind(',')) + tail + "bare}\n").files().modules.size(), 64u);
  EXPECT_EQ(boot(head + initrds + tail + "hosted}\n").files().modules.size(), 65u);
  try {
    boot(head + initrds + tail + "bare}\n");
    ADD_FAILURE() << "no error";
  } catch (const ConfigError& e) {
    EXPECT_THAT(e.what(), HasSubstr("x62: the hypervisor's image takes 63 files of guests at most"));
  }
}

TEST_F(Vmm, AMissingFileIsNamed) {
  const auto message = [&](const std::string& text) -> std::string {
    try {
      boot(text);
    } catch (const std::runtime_error& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_THAT(message("guest: {kernel: nowhere}\nvmm: {binding: bare, image: image}\n"), HasSubstr("nowhere"));
  EXPECT_THAT(message("guest: {kernel: kernel, initrd: [disk, lost a b]}\nvmm: {binding: bare, image: image}\n"),
              AllOf(HasSubstr("/lost: cannot be read"), Not(HasSubstr("lost a"))));
}

TEST(VmmStatistics, CountsComeFromItsConsole) {
  std::map<std::string, StatValue> stats;
  add_hypervisor_statistics(
      "bunshin-vmm: 3799 MHz, 62 MiB, 2 modules\nguest: ended: powered off\nguest: start_tsc 5 end_tsc 17\n"
      "guest: exits page_fault 3 tsc 40\nguest: exits\nguest: exits io x tsc 1\ngarbage\n: 1 2\n",
      stats);
  const auto value = [&](const std::string& name) { return std::get<u64>(stats.at(name).value); };
  EXPECT_EQ(value("vmm.guest.guest.start_tsc"), 5u);
  EXPECT_EQ(value("vmm.guest.guest.end_tsc"), 17u);
  EXPECT_EQ(value("vmm.guest.guest.exits.page_fault.count"), 3u);
  EXPECT_EQ(value("vmm.guest.guest.exits.page_fault.tsc"), 40u);
  EXPECT_EQ(stats.size(), 4u);
}

}  // namespace
}  // namespace bunshin

/// The simulator's libraries ask for it; nothing here simulates.
extern "C" int sc_main(int, char**) { return 0; }
