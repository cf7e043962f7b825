#include "skillsets/text_generation/reply_reader.hpp"

#include <gtest/gtest.h>

#include <random>

namespace troupe {
namespace {

struct whole_call {
  std::string id, name, arguments;
};

/// What comes of a text that is given in pieces of so many bytes.
std::pair<std::string, std::vector<whole_call>> read_all(const std::string& text,
                                                         const std::function<std::size_t()>& size) {
  tagged_reader reader;
  std::string content;
  std::vector<whole_call> calls;
  const auto add = [&](const reply_delta& delta) {
    content += delta.content;
    for (const auto& call : delta.calls) {
      if (call.index == calls.size())
        calls.push_back({call.id, call.name, {}});
      else
        EXPECT_TRUE(call.name.empty() && call.id.empty());
      calls.at(call.index).arguments += call.arguments;
    }
  };
  for (std::size_t at = 0; at < text.size();) {
    const auto next = size();
    add(reader.read(std::string_view{text}.substr(at, next), false));
    at += next;
  }
  add(reader.read({}, true));
  EXPECT_EQ(reader.calls(), !calls.empty());
  return {content, calls};
}

TEST(tagged_reader, tells_calls_from_content_however_it_is_cut) {
  const std::string text =
      "Let me see. <tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Paris\"}}\n</tool_call>"
      "\n<tool_call>\n{\"name\": \"time\", \"arguments\": {}}\n</tool_call>";
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random{seed};
  for (int round = 0; round != 300; ++round) {
    const auto [content, calls] = read_all(text, [&] { return 1 + random() % 9; });
    ASSERT_EQ(content, "Let me see. ");
    ASSERT_EQ(calls.size(), 2u);
    ASSERT_EQ(calls[0].name, "weather");
    ASSERT_EQ(calls[0].arguments, R"({"city": "Paris"})");
    ASSERT_EQ(calls[1].name, "time");
    ASSERT_EQ(calls[1].arguments, "{}");
    ASSERT_TRUE(calls[0].id.starts_with("call_") && calls[0].id != calls[1].id);
  }
}

TEST(tagged_reader, gives_what_looks_like_a_call_and_is_none) {
  EXPECT_EQ(read_all("a <tool", [] { return 1; }).first, "a <tool");
  EXPECT_EQ(read_all("a <tools> b", [] { return 1; }).first, "a <tools> b");
  EXPECT_EQ(read_all("<tool_call> is a word", [] { return 3; }).first, "<tool_call> is a word");
}

TEST(tagged_reader, gives_nothing_of_a_call_that_was_cut_off_before_its_name) {
  for (const auto* cut : {"<tool_call>", "<tool_call>\n{\"na"})
    EXPECT_EQ(read_all(cut, [] { return 3; }).first, "");
  const auto [content, calls] = read_all("<tool_call>\n{\"name\": \"wea", [] { return 3; });
  EXPECT_EQ(content + std::to_string(calls.size()), "0");
}

TEST(tagged_reader, gives_the_arguments_that_there_are_of_a_call_that_was_cut_off) {
  const auto [content, calls] = read_all("<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1", [] { return 4; });
  ASSERT_EQ(calls.size(), 1u);
  EXPECT_EQ(calls[0].arguments, R"({"a": 1)");
}

}  // namespace
}  // namespace troupe
