#include "actors/serving/settings_reader.hpp"

#include "actors/serving/testing.hpp"

#include <gtest/gtest.h>

namespace troupe {
namespace {

using namespace std::chrono_literals;

settings_reader reader(std::string_view text) {
  return *settings_reader::parse(text, "x.toml");
}

TEST(settings_reader, reads_each_kind_of_value) {
  auto r = reader("t = 'a'\ni = 3\nn = 2\nf = true\nd = '1.5s'\nu = '500us'\n[sub]\nx = 1\n");
  EXPECT_EQ(r.text("t"), "a");
  EXPECT_EQ(r.integer("i", 1, 3), 3);
  EXPECT_EQ(r.number("n", 0, 9), 2.0);
  EXPECT_EQ(r.flag("f"), true);
  EXPECT_EQ(r.duration("d"), 1500ms);
  EXPECT_EQ(r.duration("u"), 500us);
  EXPECT_EQ(r.milliseconds("d"), 1500ms);
  EXPECT_EQ(r.milliseconds("u"), 1ms) << "not none";
  EXPECT_EQ(r.text("absent"), std::nullopt);
  auto sub = r.table("sub");
  EXPECT_EQ(sub.integer("x", 0, 1), 1);
  EXPECT_EQ(r.table("none").text("y"), std::nullopt);
  EXPECT_TRUE(r.finish());
}

TEST(settings_reader, names_file_line_and_key) {
  auto r = reader("ok = 1\n[limits]\nitems = 0\n");
  r.integer("ok", 0, 1);
  r.table("limits").integer("items", 1, 10);
  const auto e = r.finish();
  ASSERT_FALSE(e);
  EXPECT_EQ(e.error().cause, "x.toml:3: 'limits.items' must be an integer from 1 to 10");
}

TEST(settings_reader, refuses_keys_that_nobody_knows) {
  auto r = reader("skillset = 'identity'\nskilset = 'identity'\n");
  r.text("skillset");
  const auto e = r.finish();
  ASSERT_FALSE(e);
  EXPECT_EQ(e.error().message(), "x.toml:2: 'skilset' is not a known key; known here: skillset");
}

TEST(settings_reader, refuses_wrong_types_and_values) {
  const auto wrong = [](std::string_view text, auto read) {
    auto r = reader(text);
    EXPECT_EQ(read(r), std::nullopt) << text;
    EXPECT_FALSE(r.finish()) << text;
  };
  wrong("k = 1", [](auto& r) { return r.text("k"); });
  wrong("k = 1.0", [](auto& r) { return r.integer("k", 0, 9); });
  wrong("k = 'x'", [](auto& r) { return r.number("k", 0, 9); });
  wrong("k = nan", [](auto& r) { return r.number("k", 0, 9); });
  wrong("k = 1", [](auto& r) { return r.flag("k"); });
  wrong("k = 'z'", [](auto& r) { return r.choice("k", {"x", "y"}); });
  for (const auto* bad :
       {"k = '10'", "k = 's'", "k = '1ns'", "k = '-1s'", "k = '25h'", "k = '1e99h'", "k = 'nans'", "k = 5"})
    wrong(bad, [](auto& r) { return r.duration("k"); });
  auto r = reader("k = 1");
  r.table("k");
  EXPECT_FALSE(r.finish());
}

TEST(settings_reader, says_where_a_file_is_not_toml) {
  const auto r = settings_reader::parse("a = 1\nb = = 2\n", "x.toml");
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().cause.rfind("x.toml:2:", 0), 0u) << r.error().cause;
  EXPECT_EQ(settings_reader::read_file("/nowhere/x.toml").error().code, status_code::not_found);
  EXPECT_EQ(settings_reader::read_file("/").error().code, status_code::not_found);
}

TEST(settings_reader, lists_keys_in_the_files_order) {
  EXPECT_EQ(reader("b = 1\na = 2\n").keys(), (std::vector<std::string>{"b", "a"}));
}

TEST(settings_reader, an_empty_file_sets_nothing_and_a_folder_is_no_file) {
  const testing_support::temporary_folder folder;
  folder.write("empty.toml", "");
  auto reader = settings_reader::read_file(folder.path() / "empty.toml");
  ASSERT_TRUE(reader) << reader.error().message();
  EXPECT_EQ(reader->text("name"), std::nullopt);
  EXPECT_TRUE(reader->finish());
  EXPECT_EQ(settings_reader::read_file(folder.path()).error().code, status_code::not_found);
  EXPECT_EQ(settings_reader::read_file(folder.path() / "none.toml").error().code, status_code::not_found);
}

}  // namespace
}  // namespace troupe
