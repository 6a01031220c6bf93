// Configuration files: what they say is read, and what is wrong with them is said with its place.

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include "sim/config/config_reader.h"
#include "sim/config/config_writer.h"
#include "sim/config/units.h"

namespace bunshin {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::array<std::string_view, 2> colours{"red", "blue"};

struct Engine {
  u64 power = 100;
  u64 clock = 1'000'000'000;
  bool turbo = false;
  void describe(ParameterVisitor& v) {
    v.integer("power", power, {1, 500}, "", "Power.");
    v.integer("clock", clock, {}, "Hz", "Clock.");
    v.boolean("turbo", turbo, "Turbo.");
  }
};

struct Car {
  u64 tank = u64{1} << 20;
  std::string name = "car";
  std::string image;
  std::string colour = "red";
  std::vector<std::string> wheels;
  std::vector<std::string> maps;
  Engine engine;
  void describe(ParameterVisitor& v) {
    v.integer("tank", tank, {4096, u64{1} << 30}, "bytes", "Tank.");
    v.text("name", name, "Name.");
    v.path("image", image, "Image.");
    v.choice("colour", colour, colours, "Colour.");
    v.list("wheels", wheels, "Wheels.");
    v.paths("maps", maps, "Maps.");
    v.group("engine", engine, "Engine.");
  }
};

Car read(const ConfigNode& root) {
  Car car;
  ConfigReader reader(root);
  car.describe(reader);
  reader.finish();
  return car;
}

Car read(const std::string& text) { return read(parse_config_tree(text, "car.yaml", "/garage")); }

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const ConfigError& e) {
    return e.what();
  }
  return "no error";
}

std::string error_of(const std::string& text) {
  return error_of([&] { read(text); });
}

TEST(Config, AnErrorOfAGroupPointsAtWhatWasWrittenInIt) {
  const ConfigNode tree = parse_config_tree("name: x\nengine:\n  clock: 1GHz\n", "car.yaml", "/garage");
  ConfigReader reader(tree);
  Car car;
  car.describe(reader);
  EXPECT_THAT(std::string(reader.error("engine", "is odd").what()), StartsWith("car.yaml:3:10: engine: is odd"));
  EXPECT_THAT(std::string(reader.error("engine.power", "is odd").what()), StartsWith("car.yaml:3:10: engine.power"));
  EXPECT_THAT(std::string(reader.error("tank", "is odd").what()), StartsWith("car.yaml:1:1: tank"));
}

class ConfigFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::temp_directory_path() /
                 ("bunshin-config-" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    std::filesystem::create_directories(directory_ / "sub");
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::filesystem::path write(const std::string& name, const std::string& text) const {
    std::ofstream(directory_ / name) << text;
    return directory_ / name;
  }
  std::filesystem::path directory_;
};

TEST(Config, ReadsEveryKindOfValue) {
  const Car car =
      read("tank: 2MiB\nname: 'a b'\ncolour: blue\nwheels: [x, y]\nengine: {power: 0x10, clock: 2.5GHz, turbo: yes}\n");
  EXPECT_EQ(car.tank, 2u << 20);
  EXPECT_EQ(car.name, "a b");
  EXPECT_EQ(car.colour, "blue");
  EXPECT_THAT(car.wheels, ElementsAre("x", "y"));
  EXPECT_EQ(car.engine.power, 16u);
  EXPECT_EQ(car.engine.clock, 2'500'000'000u);
  EXPECT_TRUE(car.engine.turbo);
}

TEST(Config, KeepsDefaultsOfWhatIsNotMentioned) {
  const Car car = read("engine: {power: 7}\nname: ~\n");
  EXPECT_EQ(car.engine.clock, 1'000'000'000u);
  EXPECT_EQ(car.name, "car");
}

TEST(Config, ResolvesFileNamesAgainstTheFileThatNamesThem) {
  const Car car = read("image: a.img\nmaps: [b, /c]\n");
  EXPECT_EQ(car.image, "/garage/a.img");
  EXPECT_THAT(car.maps, ElementsAre("/garage/b", "/c"));
}

TEST(Config, UnknownKeyNamesItsPlaceAndTheNearestKey) {
  EXPECT_EQ(error_of("name: x\nengine:\n  pwoer: 3\n"),
            "car.yaml:3:10: engine.pwoer: unknown key; the nearest valid key is engine.power");
}

TEST(Config, KeyInTheWrongGroupIsFoundInTheRightOne) {
  EXPECT_THAT(error_of("power: 3\n"), EndsWith("power: unknown key; the nearest valid key is engine.power"));
}

TEST(Config, WrongTypesNameTheirPlace) {
  EXPECT_THAT(error_of("engine:\n  power: many\n"),
              AllOf(StartsWith("car.yaml:2:10: engine.power: "), HasSubstr("'many'")));
  EXPECT_THAT(error_of("engine:\n  power: [1]\n"),
              StartsWith("car.yaml:2:3: engine.power: expected a single value, found a list"));
  EXPECT_THAT(error_of("engine: 5\n"), StartsWith("car.yaml:1:9: engine: expected a group of keys"));
  EXPECT_THAT(error_of("engine: {turbo: maybe}\n"), StartsWith("car.yaml:1:17: engine.turbo: expected true or false"));
  EXPECT_THAT(error_of("wheels: {a: 1}\n"), StartsWith("car.yaml:1:1: wheels: expected a list"));
  EXPECT_THAT(error_of("colour: green\n"), StartsWith("car.yaml:1:9: colour: 'green' is not one of red, blue"));
  EXPECT_THAT(error_of("tank: -1\n"), StartsWith("car.yaml:1:7: tank: expected a whole number of bytes"));
}

TEST(Config, OutOfRangeSaysTheRange) {
  EXPECT_EQ(error_of("tank: 2GiB\n"), "car.yaml:1:7: tank: 2GiB is out of range: 4KiB to 1GiB");
  EXPECT_THAT(error_of("engine: {power: 0}"), HasSubstr("0 is out of range: 1 to 500"));
  EXPECT_THAT(error_of("engine: {power: 99999999999999999999}"), HasSubstr("expected a whole number"));
}

TEST(Config, BrokenYamlNamesItsPlace) {
  EXPECT_THAT(error_of("name: [a\nengine: }\n"), AllOf(StartsWith("car.yaml:2:"), HasSubstr("not valid YAML")));
  EXPECT_THAT(error_of("name: a\nname: b\n"), StartsWith("car.yaml:2:1: the key 'name' appears twice"));
}

TEST(Config, AliasBombEndsInAnError) {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 9; ++i) {
    const std::string previous = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j) text += (j == 0 ? "" : ", ") + previous;
    text += "]\n";
  }
  EXPECT_THAT(error_of(text), HasSubstr("too many"));
}

TEST_F(ConfigFiles, LaterIncludesAndTheFileItselfWin) {
  write("sub/one.yaml", "name: one\nimage: x\nengine: {power: 1, turbo: on}\n");
  write("two.yaml", "name: two\nengine: {power: 2}\n");
  const Car car = read(load_config_tree(write("top.yaml", "include: [sub/one.yaml, two.yaml]\nname: top\n")));
  EXPECT_EQ(car.name, "top");
  EXPECT_EQ(car.engine.power, 2u);
  EXPECT_TRUE(car.engine.turbo);
  EXPECT_EQ(car.image, (directory_ / "sub/x").string());
}

TEST_F(ConfigFiles, AFurtherFragmentWinsOverIncludesAndYieldsToTheFile) {
  write("one.yaml", "name: one\ncolour: blue\nengine: {power: 1}\n");
  const auto fragment = write("sub/two.yaml", "name: two\nengine: {power: 2}\n");
  const auto top = write("top.yaml", "include: one.yaml\nname: top\n");
  const Car car = read(load_config_tree(top, {fragment}));
  EXPECT_EQ(car.name, "top");
  EXPECT_EQ(car.engine.power, 2u);
  EXPECT_EQ(car.colour, "blue");
  EXPECT_THAT(error_of([&] { load_config_tree(top, {directory_ / "none.yaml"}); }), HasSubstr("--set include="));
}

TEST_F(ConfigFiles, IncludeCycleIsNamed) {
  write("sub/b.yaml", "include: ../a.yaml\n");
  const auto a = write("a.yaml", "name: x\ninclude: [sub/b.yaml]\n");
  EXPECT_THAT(error_of([&] { load_config_tree(a); }),
              AllOf(HasSubstr("b.yaml:1:10: include: cycle"), HasSubstr("a.yaml → b.yaml → a.yaml")));
}

TEST_F(ConfigFiles, MissingIncludeNamesWhoWantsIt) {
  const auto a = write("a.yaml", "include:\n  - nowhere.yaml\n");
  EXPECT_THAT(error_of([&] { load_config_tree(a); }), AllOf(HasSubstr("a.yaml:2:5"), HasSubstr("nowhere.yaml")));
  EXPECT_THAT(error_of([&] { load_config_tree(directory_); }), HasSubstr("is a directory"));
}

TEST_F(ConfigFiles, AFileThatIsNoGroupOfKeysIsRefused) {
  const auto list = write("list.yaml", "[1, 2]\n");
  EXPECT_THAT(error_of([&] { load_config_tree(list); }),
              HasSubstr("list.yaml:1:1: a configuration is a group of keys"));
}

TEST_F(ConfigFiles, IncludeBombEndsInAnError) {
  for (int i = 0; i < 12; ++i) {
    const std::string next = "f" + std::to_string(i + 1) + ".yaml";
    write("f" + std::to_string(i) + ".yaml", "include: [" + next + ", " + next + "]\n");
  }
  write("f12.yaml", "name: x\n");
  EXPECT_THAT(error_of([&] { load_config_tree(directory_ / "f0.yaml"); }), HasSubstr("more than 1000"));
}

TEST(ConfigOverride, GoesOverTheFile) {
  ConfigNode root = parse_config_tree("engine: {power: 3}\n", "car.yaml", "");
  apply_override(root, "engine.power=4");
  apply_override(root, "name=a=b c");
  apply_override(root, "wheels=x,y,,z");
  apply_override(root, "maps=[/m]");
  const Car car = read(root);
  EXPECT_EQ(car.engine.power, 4u);
  EXPECT_EQ(car.name, "a=b c");
  EXPECT_THAT(car.wheels, ElementsAre("x", "y,z"));
  EXPECT_THAT(car.maps, ElementsAre("/m"));
}

TEST(ConfigOverride, ErrorsNameTheOverride) {
  const auto with = [](const std::string& assignment) {
    return error_of([&] {
      ConfigNode root = parse_config_tree("", "car.yaml", "");
      apply_override(root, assignment);
      read(root);
    });
  };
  EXPECT_THAT(with("engine.power=x"), StartsWith("--set engine.power=x:1:14: engine.power: expected"));
  EXPECT_THAT(with("engin.power=1"), HasSubstr("nearest valid key is engine"));
  EXPECT_THAT(with("engine"), HasSubstr("expected KEY=VALUE"));
  EXPECT_THAT(with("engine..power=1"), HasSubstr("empty part"));
  EXPECT_THAT(with("wheels=[a"), HasSubstr("not valid YAML"));
  EXPECT_THAT(with("engine=1"), HasSubstr("expected a group"));
}

TEST(ConfigWriter, WhatItWritesReadsBackTheSame) {
  Car car;
  car.tank = 12345;
  car.name = "quote \" colon: # \n é ~";
  car.colour = "blue";
  car.wheels = {"", "a, b", "[x]"};
  car.maps = {"/abs/a b"};
  car.engine = {499, 2'400'000'000, true};
  YAML::Emitter out;
  YamlWriter writer(out);
  out << YAML::BeginMap;
  car.describe(writer);
  out << YAML::EndMap;
  const Car again = read(std::string(out.c_str()));
  EXPECT_EQ(again.tank, car.tank);
  EXPECT_EQ(again.name, car.name);
  EXPECT_EQ(again.colour, car.colour);
  EXPECT_EQ(again.wheels, car.wheels);
  EXPECT_EQ(again.maps, car.maps);
  EXPECT_EQ(again.engine.power, car.engine.power);
  EXPECT_EQ(again.engine.clock, car.engine.clock);
  EXPECT_EQ(again.engine.turbo, car.engine.turbo);
}

TEST(Units, AcceptOnlyWholeNumbers) {
  EXPECT_EQ(parse_quantity("1.5KiB", "bytes"), 1536u);
  EXPECT_EQ(parse_quantity("512 MiB", "bytes"), u64{512} << 20);
  EXPECT_EQ(parse_quantity("3 cycles", "cycles"), 3u);
  EXPECT_EQ(parse_quantity("18446744073709551615", ""), ~u64{0});
  for (const char* bad :
       {"", "KiB", "1.5", "1.3KiB", "1e6", "-1", "+1", "1 2", "0x", "16777216TiB", "1.", ".5", "MiB1"}) {
    EXPECT_FALSE(parse_quantity(bad, "bytes")) << bad;
  }
  EXPECT_FALSE(parse_quantity("1KiB", "Hz"));
}

}  // namespace
}  // namespace bunshin
