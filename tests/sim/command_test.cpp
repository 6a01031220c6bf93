// The command as scripts see it: exit statuses, files, messages. Guests are a few bytes of machine code under a
// Multiboot header.

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/types.h"

namespace bunshin {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string command = BUNSHIN_COMMAND;
const std::string configs = BUNSHIN_CONFIGS;

struct Result {
  int status = -1;
  std::string output;  ///< standard output and standard error
};

Result execute(const std::string& line) {
  Result result;
  std::FILE* pipe = popen(("( " + line + " ) 2>&1 < /dev/null").c_str(), "r");
  if (pipe == nullptr) return result;
  char buffer[4096];
  for (std::size_t n; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) result.output.append(buffer, n);
  const int status = pclose(pipe);
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return result;
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class Command : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::temp_directory_path() /
                 ("bunshin-command-" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    std::filesystem::create_directories(directory_);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  /// A 32-bit Multiboot kernel at 1 MiB that begins with `code`.
  std::string kernel(const std::vector<u8>& code) {
    constexpr u32 base = 0x100000, flags = 0x10000, magic = 0x1badb002;
    const u32 end = base + 32 + static_cast<u32>(code.size());
    const std::array<u32, 8> header{magic, flags, 0u - magic - flags, base, base, end, end, base + 32};
    const std::filesystem::path path = directory_ / "kernel.bin";
    std::ofstream out(path, std::ios::binary);
    out.write(reinterpret_cast<const char*>(header.data()), sizeof header);
    out.write(reinterpret_cast<const char*>(code.data()), static_cast<std::streamsize>(code.size()));
    return path.string();
  }
  Result run(const std::string& kernel_path, const std::string& options = "") {
    return execute(command + " run " + configs +
                   "/experiment/multiboot.yaml --set machine.memory=16MiB --set guest.kernel=" + kernel_path +
                   " --out " + out() + " " + options);
  }
  std::string out() const { return (directory_ / "out").string(); }
  nlohmann::json stats() const { return nlohmann::json::parse(read_file(directory_ / "out/stats.json")); }

  std::filesystem::path directory_;
};

/// mov al, v; out 0xf4, al; hlt
std::vector<u8> exit_with(u8 v) { return {0xb0, v, 0xe6, 0xf4, 0xf4}; }
/// mov dx, 0x3f8; for each: mov al, c; out dx, al
std::vector<u8> print(const std::string& text) {
  std::vector<u8> code{0x66, 0xba, 0xf8, 0x03};
  for (const char c : text) code.insert(code.end(), {0xb0, static_cast<u8>(c), 0xee});
  return code;
}
std::vector<u8> operator+(std::vector<u8> a, const std::vector<u8>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

const std::vector<u8> loop_forever{0xeb, 0xfe};

TEST_F(Command, DebugExitZeroIsSuccess) {
  EXPECT_EQ(run(kernel(exit_with(0))).status, 0);
  EXPECT_EQ(stats()["guest.exit_value"]["value"], 0);
  EXPECT_EQ(stats()["sim.exit_status"]["value"], 0);
}

TEST_F(Command, DebugExitOtherwiseIsFailureAndKeepsItsValue) {
  EXPECT_EQ(run(kernel(exit_with(5))).status, 1);
  EXPECT_EQ(stats()["guest.exit_value"]["value"], 5);
}

TEST_F(Command, WritesTheFilesThatScriptsRelyOn) {
  const Result result = run(kernel(print("Hello\n") + exit_with(0)));
  EXPECT_EQ(result.status, 0);
  EXPECT_THAT(result.output, HasSubstr("Hello\n"));
  EXPECT_EQ(read_file(directory_ / "out/console.log"), "Hello\n");
  EXPECT_THAT(read_file(directory_ / "out/report.html"), HasSubstr("Hello"));
  const nlohmann::json s = stats();
  for (const char* name :
       {"sim.cycles", "sim.instructions", "sim.host_seconds", "sim.mips", "sim.state_hash", "sim.exit_status"}) {
    ASSERT_TRUE(s.contains(name)) << name;
    EXPECT_TRUE(s[name].contains("value") && s[name].contains("unit") && s[name].contains("description")) << name;
  }
  EXPECT_TRUE(s["sim.state_hash"]["value"].is_string());
}

TEST_F(Command, RunYamlRepeatsTheRun) {
  ASSERT_EQ(run(kernel(print("x") + exit_with(0))).status, 0);
  const nlohmann::json first = stats();
  ASSERT_EQ(execute(command + " run " + out() + "/run.yaml --out " + out() + "2").status, 0);
  const nlohmann::json second = nlohmann::json::parse(read_file(out() + "2/stats.json"));
  EXPECT_EQ(first["sim.cycles"], second["sim.cycles"]);
  EXPECT_EQ(first["sim.state_hash"], second["sim.state_hash"]);
}

TEST_F(Command, CycleLimitEndsWithStatus3) {
  EXPECT_EQ(run(kernel(loop_forever), "--max-cycles 100000").status, 3);
  EXPECT_EQ(stats()["sim.cycles"]["value"], 100000);
}

TEST_F(Command, LoopWithInterruptsOffCanBeInterrupted) {
  const Result result = execute("timeout -s INT 2 " + command + " run " + configs +
                                "/experiment/multiboot.yaml --set guest.kernel=" + kernel({0xfa, 0xeb, 0xfe}) +
                                " --out " + out() + "; echo status $?");
  EXPECT_THAT(result.output, HasSubstr("interrupted"));
  EXPECT_EQ(stats()["sim.exit_status"]["value"], 3);
}

TEST_F(Command, TwoSignalsAtOnceAreOneRequest) {
  const Result result = execute(command + " run " + configs +
                                "/experiment/multiboot.yaml --set guest.kernel=" + kernel({0xfa, 0xeb, 0xfe}) +
                                " --out " + out() + " & sleep 1; kill -TERM $!; kill -HUP $!; wait $!; echo status $?");
  EXPECT_THAT(result.output, HasSubstr("interrupted"));
  EXPECT_THAT(result.output, HasSubstr("status 3"));
  EXPECT_EQ(stats()["sim.exit_status"]["value"], 3);
}

TEST_F(Command, TripleFaultIsFailure) {
  const Result result = run(kernel({0x0f, 0x0b}));
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.output, HasSubstr("triple fault"));
}

TEST_F(Command, JumpToWhereNothingIsEndsInATripleFault) {
  // mov eax, 0xd0000000; jmp eax
  EXPECT_EQ(run(kernel({0xb8, 0, 0, 0, 0xd0, 0xff, 0xe0})).status, 1);
}

TEST_F(Command, HaltWithInterruptsOffIsADeadGuest) {
  const Result result = run(kernel({0xfa, 0xf4}));
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.output, HasSubstr("all cores are halted with interrupts disabled"));
}

TEST_F(Command, UntilConsoleEndsWithSuccess) {
  const Result result = run(kernel(print("Pass 1") + loop_forever), "--until-console 'Pass 1'");
  EXPECT_EQ(result.status, 0);
}

TEST_F(Command, UntilScreenEndsWithSuccess) {
  // mov dword [0xb8000], 'O' 'K' with attributes; loop
  const std::vector<u8> draw{0xc7, 0x05, 0x00, 0x80, 0x0b, 0x00, 'O', 7, 'K', 7};
  EXPECT_EQ(run(kernel(draw + loop_forever), "--until-screen OK --max-cycles 100000000").status, 0);
  EXPECT_THAT(read_file(directory_ / "out/screen.txt"), ::testing::StartsWith("OK"));
}

TEST_F(Command, TraceHasALineForEachInstruction) {
  const std::string trace = (directory_ / "trace").string();
  ASSERT_EQ(run(kernel(exit_with(0)), "--trace " + trace).status, 0);
  std::istringstream lines(read_file(trace));
  std::string first, second;
  std::getline(lines, first);
  std::getline(lines, second);
  EXPECT_EQ(first.substr(0, 20), "0 0 0000000000100020");
  EXPECT_THAT(first, AllOf(HasSubstr("b0 00"), HasSubstr("mov al, 0")));
  EXPECT_THAT(second, HasSubstr("out 0xf4, al"));
}

TEST_F(Command, TraceWindowBeginsAtItsCycle) {
  const std::string trace = (directory_ / "trace").string();
  run(kernel(loop_forever), "--max-cycles 1000 --trace " + trace + " --trace-from 500 --trace-to 502");
  EXPECT_THAT(read_file(trace), ::testing::StartsWith("500 0 "));
  const std::string text = read_file(trace);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3);
}

TEST_F(Command, BadUseEndsWithStatus2) {
  const std::string config = configs + "/experiment/multiboot.yaml";
  EXPECT_EQ(execute(command).status, 2);
  EXPECT_EQ(execute(command + " fly").status, 2);
  EXPECT_EQ(execute(command + " run").status, 2);
  EXPECT_EQ(execute(command + " run " + config + " --frobnicate").status, 2);
  EXPECT_EQ(execute(command + " run " + config + " --max-cycles soon").status, 2);
  EXPECT_EQ(execute(command + " run " + (directory_ / "none.yaml").string()).status, 2);
  EXPECT_THAT(execute(command + " run " + config).output, HasSubstr("guest.kernel"));
  EXPECT_THAT(execute(command + " run " + config + " --set machine.coers=2").output,
              HasSubstr("nearest valid key is machine.cores"));
  EXPECT_THAT(execute(command + " run " + config + " --set machine.cores=99").output, HasSubstr("1 to 16"));
  EXPECT_EQ(execute(command + " run " + config + " --timing quick").status, 2);
  EXPECT_THAT(execute(command + " run " + config + " --timing ooo --set caches.l1d.ways=3").output,
              HasSubstr("caches.l1d"));
  EXPECT_THAT(execute(command + " run " + config + " --timing ooo --set tlb.l1d.small.ways=3").output,
              HasSubstr("tlb.l1d.small"));
  EXPECT_THAT(execute(command + " run " + config + " --set pipeline.branch.target_entries=17").output,
              HasSubstr("pipeline.branch.target_entries"));
}

TEST_F(Command, BadImagesEndWithStatus2) {
  std::ofstream(directory_ / "text") << "this is no kernel";
  const Result result = run((directory_ / "text").string());
  EXPECT_EQ(result.status, 2);
  EXPECT_THAT(result.output, HasSubstr("not a kernel"));
  EXPECT_EQ(run((directory_ / "missing").string()).status, 2);
  EXPECT_EQ(run(kernel(exit_with(0)), "--set guest.disks=/nonexistent.img").status, 2);
}

TEST_F(Command, VersionAndHelpSucceed) {
  EXPECT_EQ(execute(command + " --version").status, 0);
  EXPECT_THAT(execute(command + " --help").output, HasSubstr("Exit status"));
  EXPECT_THAT(execute(command + " run --help").output, HasSubstr("--until-screen"));
}

TEST_F(Command, DisassemblesRawCode) {
  const std::string raw = (directory_ / "raw").string();
  std::ofstream(raw, std::ios::binary) << "\x48\x89\xe5\xc3";
  const Result result = execute(command + " disasm " + raw + " --base 0x1000");
  EXPECT_THAT(result.output, AllOf(HasSubstr("1000  48 89 e5"), HasSubstr("mov rbp, rsp"), HasSubstr("1003  c3")));
}

TEST_F(Command, ReferenceIsTheDocumentedOne) {
  EXPECT_EQ(execute(command + " config --reference").output, read_file(configs + "/../docs/configuration.md"));
}

TEST_F(Command, GdbBreaksStepsAndReads) {
  if (std::system("gdb --version > /dev/null 2>&1") != 0) GTEST_SKIP() << "gdb is not installed";
  // mov eax, 0x1234; mov ebx, eax; nop; out 0xf4, al …
  const std::string path = kernel(std::vector<u8>{0xb8, 0x34, 0x12, 0, 0, 0x89, 0xc3, 0x90} + exit_with(0));
  const std::string port = std::to_string(20000 + getpid() % 20000);
  Result machine;
  // Bounded: without a debugger the command would wait for ever.
  std::thread simulator([&] {
    machine = execute("timeout 60 " + command + " run " + configs +
                      "/experiment/multiboot.yaml --set guest.kernel=" + path + " --out " + out() + " --gdb " + port);
  });
  const Result gdb = execute(
      "gdb -nx -batch -ex 'set tcp connect-timeout 20' -ex 'set architecture i386:x86-64' -ex 'target remote "
      "127.0.0.1:" +
      port + "' -ex 'break *0x100027' -ex continue -ex 'printf \"rbx=%lx\\n\", $rbx' -ex stepi" +
      " -ex 'printf \"rip=%lx\\n\", $rip' -ex 'x/2xb 0x100020' -ex 'info threads' -ex 'delete'" +
      " -ex 'set $ymm3.v4_int64[3] = 77' -ex 'printf \"upper=%d\\n\", $ymm3.v4_int64[3]' -ex continue");
  simulator.join();
  EXPECT_THAT(gdb.output, AllOf(HasSubstr("rbx=1234"), HasSubstr("rip=100028"), HasSubstr("0xb8"), HasSubstr("core 0"),
                                HasSubstr("upper=77"), HasSubstr("exited normally")));
  EXPECT_EQ(machine.status, 0);
}

}  // namespace
}  // namespace bunshin
