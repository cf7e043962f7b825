#include "skillsets/text_embedding/text_tokenizer.hpp"

#include "skillsets/text_embedding/test_model.hpp"

#include <gmock/gmock.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

namespace troupe {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

expected<text_tokenizer> load_minilm(std::size_t max_tokens) {
  return text_tokenizer::load(minilm / "tokenizer.json", max_tokens);
}

TEST(text_tokenizer, adds_special_tokens_and_no_padding) {
  const auto tokenizer = load_minilm(256);
  ASSERT_TRUE(tokenizer);
  const auto text = tokenizer->encode("Hello, world");
  ASSERT_TRUE(text);
  EXPECT_THAT(text->ids, ElementsAre(101, 7592, 1010, 2088, 102));
  EXPECT_THAT(text->types, testing::Each(0));
  EXPECT_EQ(text->dropped, 0u);
  EXPECT_EQ(tokenizer->largest_id(), 30521);
  EXPECT_EQ(tokenizer->padding_id(), 0);
}

TEST(text_tokenizer, an_empty_text_has_its_special_tokens) {
  EXPECT_THAT(load_minilm(256)->encode("")->ids, ElementsAre(101, 102));
}

TEST(text_tokenizer, as_many_tokens_as_the_reference) {
  const auto tokenizer = load_minilm(0);
  std::ifstream file{std::filesystem::path{TROUPE_GOLDEN} / "texts.json"};
  const auto golden = nlohmann::json::parse(file);
  for (const auto& entry : golden["texts"]) {
    const auto text = tokenizer->encode(entry["text"].get_ref<const std::string&>());
    ASSERT_TRUE(text);
    EXPECT_EQ(text->ids.size(), entry["tokens"]) << entry["text"];
  }
}

TEST(text_tokenizer, cuts_at_the_limit_and_counts) {
  std::string words;
  for (int i = 0; i != 300; ++i)
    words += "a ";
  const auto text = load_minilm(200)->encode(words);
  EXPECT_EQ(text->ids.size(), 200u);
  EXPECT_EQ(text->ids.back(), 102);
  EXPECT_EQ(text->dropped, 102u);
  EXPECT_EQ(load_minilm(302)->encode(words)->dropped, 0u);
  EXPECT_EQ(load_minilm(301)->encode(words)->dropped, 1u);
}

TEST(text_tokenizer, names_the_first_byte_that_is_not_utf_8) {
  const auto tokenizer = load_minilm(256);
  for (const auto& [bytes, offset] :
       {std::pair{"abc\xff", 3}, {"\xc3\x28", 0}, {"ab\xed\xa0\x80", 2}, {"\xf0\x9f\x98", 0}, {"\xc0\x80", 0}}) {
    const auto text = tokenizer->encode(bytes);
    ASSERT_FALSE(text);
    EXPECT_EQ(text.error().code, status_code::invalid_argument);
    EXPECT_THAT(text.error().cause, HasSubstr("at byte " + std::to_string(offset)));
  }
}

TEST(text_tokenizer, many_threads_encode_at_once) {
  const auto tokenizer = load_minilm(256);
  std::vector<std::jthread> threads;
  for (int i = 0; i != 4; ++i)
    threads.emplace_back([&] {
      for (int round = 0; round != 200; ++round)
        ASSERT_EQ(tokenizer->encode("many threads at once")->ids.size(), 6u);
    });
}

TEST(text_tokenizer, refuses_what_is_no_tokenizer) {
  const test_folder folder;
  const auto path = folder.path / "tokenizer.json";
  for (const auto* content : {"", "{}", "[1,2", "\xff\xfe", R"({"version":"9.9"})", R"({"model":{"type":"BPE"}})"}) {
    std::ofstream{path} << content;
    const auto tokenizer = text_tokenizer::load(path, 256);
    ASSERT_FALSE(tokenizer) << content;
    EXPECT_EQ(tokenizer.error().code, status_code::invalid_argument);
    EXPECT_THAT(tokenizer.error().cause, HasSubstr("tokenizer.json"));
  }
  EXPECT_FALSE(text_tokenizer::load(folder.path / "nothing", 256));
}

TEST(text_tokenizer, refuses_a_limit_without_room) {
  EXPECT_FALSE(load_minilm(2));
  ASSERT_TRUE(load_minilm(3));
  EXPECT_THAT(load_minilm(3)->encode("a b c")->ids, ElementsAre(101, 1037, 102));
}

}  // namespace
}  // namespace troupe
