#include "actors/gateway/http/openai/completion_request.hpp"

#include "actors/gateway/http/openai/testing.hpp"

namespace troupe::openai {
namespace {

using namespace testing_support;

constexpr auto minimal = R"({"model":"m","prompt":"Once"})";

std::string refusal(std::initializer_list<std::pair<const char*, json>> members) {
  return refusal_of(read_completion_request, with(minimal, members));
}

text_request read(std::initializer_list<std::pair<const char*, json>> members) {
  auto request = read_completion_request(with(minimal, members));
  EXPECT_TRUE(request) << (request ? "" : request.error().message());
  return request ? *std::move(request) : text_request{};
}

TEST(completion_request, has_16_tokens_where_it_does_not_say) {
  EXPECT_EQ(
      read({}).parameters,
      (parameter_map{{"prompt_format", std::string{"text"}}, {"stream", false}, {"max_tokens", std::int64_t{16}}}));
  EXPECT_EQ(text_of(read({}).inference(0)), "Once");
  EXPECT_EQ(get<std::int64_t>(read({{"max_tokens", 0}}).parameters, "max_tokens"), 0);
}

TEST(completion_request, has_one_prompt_or_several) {
  const auto request = read({{"prompt", {"a", ""}}, {"n", 2}, {"seed", 5}});
  ASSERT_EQ(request.size(), 4u);
  EXPECT_EQ(text_of(request.inference(1)), "a");
  EXPECT_EQ(text_of(request.inference(2)), "");
  EXPECT_EQ(get<std::int64_t>(request.inference(1).parameters, "seed"), 6);
  EXPECT_EQ(get<std::int64_t>(request.inference(2).parameters, "seed"), 5);
}

TEST(completion_request, has_prompts_of_tokens) {
  auto request = read({{"prompt", {1, 2, 3}}});
  ASSERT_EQ(request.size(), 1u);
  EXPECT_EQ(text_of(request.inference(0)), "[1,2,3]");
  EXPECT_EQ(get<std::string>(request.parameters, "prompt_format"), "tokens");
  request = read({{"prompt", json::parse("[[1],[2,3]]")}});
  ASSERT_EQ(request.size(), 2u);
  EXPECT_EQ(text_of(request.inference(1)), "[2,3]");
}

TEST(completion_request, prompts_are_of_one_kind) {
  const auto prompt = [](const char* text) { return refusal({{"prompt", json::parse(text)}}); };
  EXPECT_EQ(prompt("null"), "INVALID_ARGUMENT: parameter 'prompt' is missing");
  EXPECT_EQ(prompt("7"), "INVALID_ARGUMENT: parameter 'prompt' is the number 7");
  EXPECT_EQ(prompt("[]"), "INVALID_ARGUMENT: parameter 'prompt' is an empty array");
  EXPECT_EQ(prompt("[[]]"), "INVALID_ARGUMENT: parameter 'prompt[0]' is an empty array");
  EXPECT_EQ(prompt(R"(["a",1])"), "INVALID_ARGUMENT: parameter 'prompt[1]' is the number 1");
  EXPECT_EQ(prompt(R"([1,"a"])"), "INVALID_ARGUMENT: parameter 'prompt[1]' is a string");
  EXPECT_EQ(prompt("[1,-1]"), "INVALID_ARGUMENT: parameter 'prompt[1]' is the number -1");
  EXPECT_EQ(prompt("[1,1.5]"), "INVALID_ARGUMENT: parameter 'prompt[1]' is the number 1.5");
  EXPECT_EQ(prompt("[4294967296]"), "INVALID_ARGUMENT: parameter 'prompt[0]' is the number 4294967296");
  EXPECT_EQ(prompt(R"([[1],"a"])"), "INVALID_ARGUMENT: parameter 'prompt[1]' is a string");
  EXPECT_EQ(prompt(R"([[1],[2,"a"]])"), "INVALID_ARGUMENT: parameter 'prompt[1][1]' is a string");
  EXPECT_EQ(prompt("[{}]"), "INVALID_ARGUMENT: parameter 'prompt[0]' is an object");
  EXPECT_EQ(refusal({{"prompt", json(129, "a")}}), "INVALID_ARGUMENT: parameter 'prompt' has 129 texts");
  EXPECT_EQ(refusal({{"prompt", json(65, "a")}, {"n", 2}}),
            "INVALID_ARGUMENT: parameter 'n' asks for 130 answers in all");
}

TEST(completion_request, what_the_node_cannot_do_is_refused) {
  EXPECT_EQ(refusal({{"suffix", "x"}}), "UNIMPLEMENTED: parameter 'suffix' is not supported here");
  EXPECT_EQ(refusal({{"best_of", 3}}), "UNIMPLEMENTED: parameter 'best_of' is 3, and n is 1");
  EXPECT_EQ(read({{"best_of", 3}, {"n", 3}}).size(), 3u);
  EXPECT_EQ(refusal({{"echo", true}, {"logprobs", 1}}),
            "UNIMPLEMENTED: parameter 'logprobs' is given, and echo is true");
  EXPECT_TRUE(get<bool>(read({{"echo", true}}).parameters, "echo"));
  EXPECT_EQ(get<std::int64_t>(read({{"logprobs", 5}}).parameters, "logprobs"), 5);
  EXPECT_EQ(refusal({{"messages", json::array()}}), "UNIMPLEMENTED: parameter 'messages' is unknown");
}

}  // namespace
}  // namespace troupe::openai
