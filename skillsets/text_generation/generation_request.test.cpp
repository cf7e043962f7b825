#include "skillsets/text_generation/generation_request.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace troupe {
namespace {

inference_request asking(std::string text, parameter_map parameters) {
  std::string bytes;
  append_bytes(bytes, text);
  return {{tensor{"text_input", datatype::bytes, {1}, buffer::take(std::move(bytes))}}, std::move(parameters)};
}

std::string problem(parameter_map parameters) {
  const auto read = read_generation_request(asking("x", std::move(parameters)), {});
  return read ? "" : std::string{to_string(read.error().code)} + " " + read.error().cause;
}

TEST(generation_request, reads_every_parameter) {
  const auto read = read_generation_request(
      asking("[]", {{"prompt_format", std::string{"chat"}},
                    {"stream", true},
                    {"max_tokens", std::int64_t{7}},
                    {"temperature", 0.5},
                    {"top_p", 0.9},
                    {"top_k", std::uint64_t{5}},
                    {"min_p", 0.1},
                    {"seed", std::int64_t{-3}},
                    {"frequency_penalty", -1.5},
                    {"presence_penalty", std::int64_t{1}},
                    {"repetition_penalty", 1.1},
                    {"logit_bias", std::string{R"({"5":-100,"6":1.5})"}},
                    {"stop", std::string{R"(["a","\n"])"}},
                    {"logprobs", std::int64_t{3}},
                    {"tools", std::string{R"([{"type":"function","function":{"name":"f"}}])"}},
                    {"tool_choice", std::string{R"({"type":"function","function":{"name":"f"}})"}},
                    {"parallel_tool_calls", false},
                    {"chat_template_kwargs", std::string{R"({"z":1,"a":2})"}},
                    {"ignore_eos", true}}),
      {});
  ASSERT_TRUE(read) << read.error().cause;
  EXPECT_EQ(read->format, prompt_format::chat);
  EXPECT_TRUE(read->stream);
  EXPECT_EQ(read->max_tokens, 7);
  EXPECT_EQ(read->sampling.temperature, 0.5);
  EXPECT_EQ(read->sampling.top_k, 5);
  EXPECT_EQ(read->sampling.presence_penalty, 1);
  EXPECT_TRUE(read->sampling.seed);
  EXPECT_EQ(read->sampling.logit_bias, (std::vector<std::pair<std::int32_t, float>>{{5, -100}, {6, 1.5}}));
  EXPECT_EQ(read->stop, (std::vector<std::string>{"a", "\n"}));
  EXPECT_EQ(read->logprobs, 3);
  EXPECT_EQ(read->choice.function, "f");
  EXPECT_EQ(read->template_arguments, R"({"z":1,"a":2})") << "in their order";
  EXPECT_TRUE(read->sampling.ignore_eos);
}

TEST(generation_request, takes_the_models_own_settings_for_what_nobody_said) {
  sampling_settings own;
  own.temperature = 0.25;
  own.top_k = 7;
  const auto read = read_generation_request(asking("x", {{"top_k", std::int64_t{9}}}), own);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->sampling.temperature, 0.25);
  EXPECT_EQ(read->sampling.top_k, 9);
}

TEST(generation_request, names_the_parameter_that_is_wrong) {
  constexpr auto nan = std::numeric_limits<double>::quiet_NaN();
  const std::pair<parameter_map, const char*> wrong[]{
      {{{"frob", true}}, "'frob' is unknown"},
      {{{"temperature", -1.0}}, "'temperature' is -1"},
      {{{"temperature", nan}}, "'temperature' is nan"},
      {{{"temperature", std::string{"hot"}}}, "'temperature' is not a number"},
      {{{"top_p", 0.0}}, "'top_p' is 0"},
      {{{"top_p", 1.5}}, "'top_p' is 1.5"},
      {{{"max_tokens", std::int64_t{-1}}}, "'max_tokens' is -1"},
      {{{"max_tokens", 1.5}}, "'max_tokens' is 1.5"},
      {{{"max_tokens", 1e30}}, "'max_tokens' is 1e+30"},
      {{{"stream", std::int64_t{1}}}, "'stream' is not a bool"},
      {{{"logprobs", std::int64_t{21}}}, "'logprobs' is 21"},
      {{{"stop", std::string{"no json"}}}, "'stop' is not valid JSON"},
      {{{"stop", std::string{R"([""])"}}}, "'stop' has an element"},
      {{{"stop", std::string{R"([1])"}}}, "'stop' has an element"},
      {{{"logit_bias", std::string{R"({"x":1})"}}}, "'logit_bias' names 'x'"},
      {{{"logit_bias", std::string{R"({"1":1000})"}}}, "'logit_bias' of token 1"},
      {{{"prompt_format", std::string{"xml"}}}, "'prompt_format' is 'xml'"},
      {{{"json_schema", std::string{"[]"}}}, "'json_schema' is not a JSON object"},
      {{{"json_schema", std::string{R"({"a":1,"a":2})"}}}, "the name 'a' is there twice"},
      {{{"json_schema", std::string{"{}"}}, {"grammar", std::string{"root ::= \"a\""}}}, "exclude each other"},
      {{{"tools", std::string{"[1]"}}}, "'tools' needs a chat"},
      {{{"tool_choice", std::string{"required"}}}, "'tool_choice' needs tools"},
      {{{"tool_choice", std::string{"maybe"}}}, "'tool_choice' is 'maybe'"},
      {{{"grammar", std::string(100'000, 'x')}}, "'grammar' has 100000 bytes"},
  };
  for (const auto& [parameters, why] : wrong)
    EXPECT_NE(problem(parameters).find(why), std::string::npos) << why << ": " << problem(parameters);
  std::string stops = "[\"a\"";
  for (int i = 0; i != 5000; ++i)
    stops += ",\"a\"";
  EXPECT_NE(problem({{"stop", stops + "]"}}).find("at most 64"), std::string::npos);
}

TEST(generation_request, answers_whatever_comes) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random{seed};
  const std::string letters = R"([]{}",:\u0019truefalsn-+.e )"
                              "\xC3\xFF\x01";
  for (int round = 0; round != 5000; ++round) {
    std::string text;
    for (std::size_t i = 0, n = random() % 60; i != n; ++i)
      text += letters[random() % letters.size()];
    for (const auto* name : {"stop", "logit_bias", "json_schema", "tools", "tool_choice", "chat_template_kwargs"})
      if (const auto why = problem({{name, text}}); !why.empty()) {
        ASSERT_TRUE(why.starts_with("INVALID_ARGUMENT parameter '")) << name << " " << text << ": " << why;
      }
  }
}

}  // namespace
}  // namespace troupe
