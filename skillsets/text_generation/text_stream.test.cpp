#include "skillsets/text_generation/text_stream.hpp"

#include <gtest/gtest.h>

#include <random>

namespace troupe {
namespace {

TEST(text_stream, gives_what_comes) {
  text_stream text{{}};
  EXPECT_EQ(text.push("Hello"), "Hello");
  EXPECT_EQ(text.push(" you"), " you");
  EXPECT_EQ(text.finish(), "");
  EXPECT_FALSE(text.stopped());
}

TEST(text_stream, waits_for_whole_characters) {
  text_stream text{{}};
  EXPECT_EQ(text.push("a\xF0\x9F"), "a");
  EXPECT_EQ(text.push("\x98"), "");
  EXPECT_EQ(text.push("\x80!"), "\xF0\x9F\x98\x80!");
}

TEST(text_stream, replaces_what_is_no_character) {
  text_stream text{{}};
  EXPECT_EQ(text.push("a\xFF"), "a\xEF\xBF\xBD");
  EXPECT_EQ(text.push("\xC3"), "");
  EXPECT_EQ(text.finish(), "\xEF\xBF\xBD") << "it was never finished";
}

TEST(text_stream, holds_back_what_may_become_a_stop_string) {
  text_stream text{{"\n\nUser:"}};
  EXPECT_EQ(text.push("Yes\n"), "Yes");
  EXPECT_EQ(text.push("\nUs"), "");
  EXPECT_EQ(text.push("ually"), "\n\nUsually");
  EXPECT_EQ(text.push("\n\nUser: more"), "");
  EXPECT_TRUE(text.stopped());
  EXPECT_EQ(text.push("and more"), "");
  EXPECT_EQ(text.kept(), std::string_view{"Yes\n\nUsually"}.size());
}

TEST(text_stream, ends_at_the_stop_string_that_comes_first) {
  text_stream text{{"later", "first"}};
  EXPECT_EQ(text.push("a first and later"), "a ");
  EXPECT_TRUE(text.stopped());
}

TEST(text_stream, gives_the_same_however_it_is_cut) {
  const std::string whole = "Grüße aus 東京 – und dann STOP nicht mehr";
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random{seed};
  for (int round = 0; round != 500; ++round) {
    text_stream text{{"STOP", "ST"}};
    std::string given;
    for (std::size_t at = 0; at < whole.size();) {
      const auto size = 1 + random() % 5;
      given += text.push(std::string_view{whole}.substr(at, size));
      at += size;
    }
    given += text.finish();
    ASSERT_EQ(given, "Grüße aus 東京 – und dann ");
  }
}

}  // namespace
}  // namespace troupe
