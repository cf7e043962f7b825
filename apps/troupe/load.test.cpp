#include "apps/troupe/load.hpp"

#include <gtest/gtest.h>

namespace troupe::cli {
namespace {

TEST(setting, is_a_line_of_toml) {
  EXPECT_EQ(*parse_setting("queue.capacity=64"), "queue.capacity = 64");
  EXPECT_EQ(*parse_setting("weight=0.5"), "weight = 0.5");
  EXPECT_EQ(*parse_setting("options.fast=true"), "options.fast = true");
  EXPECT_EQ(*parse_setting("alternatives=[\"CPU\"]"), "alternatives = [\"CPU\"]");
  EXPECT_EQ(*parse_setting("device=\"CPU\""), "device = \"CPU\"");
}

TEST(setting, has_text_without_quotes) {
  EXPECT_EQ(*parse_setting("queue.max_wait=2s"), "queue.max_wait = \"2s\"");
  EXPECT_EQ(*parse_setting("device=C:\\x\"y"), "device = \"C:\\\\x\\\"y\"");
  EXPECT_EQ(*parse_setting("device="), "device = \"\"");
  EXPECT_EQ(*parse_setting("options.note=a=b"), "options.note = \"a=b\"");
  EXPECT_EQ(*parse_setting("options.note=two\nlines"), "options.note = \"two\\nlines\"");
}

TEST(setting, needs_a_key_and_a_value) {
  for (const auto* wrong : {"", "capacity", "=3"})
    EXPECT_EQ(parse_setting(wrong).error().code, status_code::invalid_argument) << wrong;
}

}  // namespace
}  // namespace troupe::cli
