#include "apps/troupe/conversation.hpp"

#include <gtest/gtest.h>

namespace troupe::cli {
namespace {

using json = nlohmann::json;

TEST(conversation, has_what_both_sides_said_after_what_the_system_says) {
  conversation talk{"Be brief."};
  ASSERT_TRUE(talk.ask("Hello \"you\""));
  talk.answer("Hi.");
  ASSERT_TRUE(talk.ask("And?"));
  EXPECT_EQ(json::parse(talk.json()), json::parse(R"([{"role":"system","content":"Be brief."},
      {"role":"user","content":"Hello \"you\""},{"role":"assistant","content":"Hi."},
      {"role":"user","content":"And?"}])"));
}

TEST(conversation, takes_back_what_was_not_answered) {
  conversation talk{""};
  ASSERT_TRUE(talk.ask("one"));
  talk.answer("");
  EXPECT_EQ(talk.json(), "[]");
}

TEST(conversation, refuses_what_is_not_utf_8) {
  conversation talk{""};
  const auto asked = talk.ask("\xff");
  ASSERT_FALSE(asked);
  EXPECT_EQ(asked.error().code, status_code::invalid_argument);
  EXPECT_EQ(talk.json(), "[]");
  EXPECT_FALSE(conversation{"\xff"}.ask("a"));
}

TEST(conversation, forgets_all_but_what_the_system_says) {
  conversation talk{"x"};
  ASSERT_TRUE(talk.ask("one"));
  talk.clear();
  EXPECT_EQ(talk.json(), R"([{"role":"system","content":"x"}])");
}

TEST(chat_command, is_a_word_with_a_slash_before_it) {
  EXPECT_EQ(parse_chat_command("/exit"), chat_command::leave);
  EXPECT_EQ(parse_chat_command("  /clear \r"), chat_command::clear);
  EXPECT_EQ(parse_chat_command("/help"), chat_command::help);
  EXPECT_EQ(parse_chat_command("/dance"), chat_command::unknown);
  for (const auto* message : {"", " ", "exit", "/usr/bin", "/exit now", "1/2"})
    EXPECT_EQ(parse_chat_command(message), chat_command::none) << message;
}

}  // namespace
}  // namespace troupe::cli
