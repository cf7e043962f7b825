#include "actors/gateway/http/openai/embedding_request.hpp"

#include "actors/gateway/http/openai/testing.hpp"

namespace troupe::openai {
namespace {

using namespace testing_support;

constexpr auto minimal = R"({"model":"m","input":"hi"})";

std::string refusal(std::initializer_list<std::pair<const char*, json>> members) {
  return refusal_of(read_embedding_request, with(minimal, members));
}

embedding_request read(std::initializer_list<std::pair<const char*, json>> members) {
  auto request = read_embedding_request(with(minimal, members));
  EXPECT_TRUE(request) << (request ? "" : request.error().message());
  return request ? *std::move(request) : embedding_request{};
}

TEST(embedding_request, has_texts) {
  EXPECT_EQ(read({}).texts, std::vector<std::string>{"hi"});
  EXPECT_TRUE(read({}).parameters.empty());
  const auto request = read({{"input", {"a", "b", ""}}});
  const auto inference = request.inference(1, 2);
  EXPECT_EQ(inference.inputs.front().shape, std::vector<std::int64_t>{2});
  const auto texts = split_bytes(inference.inputs.front().data.view(), 2);
  ASSERT_TRUE(texts);
  EXPECT_EQ(texts->front(), "b");
  EXPECT_EQ(texts->back(), "");
}

TEST(embedding_request, has_tokens) {
  const auto request = read({{"input", json::parse("[[5,6],[7]]")}, {"priority", 1}});
  EXPECT_EQ(request.texts, (std::vector<std::string>{"[5,6]", "[7]"}));
  EXPECT_EQ(request.parameters,
            (parameter_map{{"prompt_format", std::string{"tokens"}}, {"priority", std::int64_t{1}}}));
}

TEST(embedding_request, has_an_encoding_and_dimensions) {
  EXPECT_FALSE(read({}).base64);
  EXPECT_TRUE(read({{"encoding_format", "base64"}}).base64);
  EXPECT_EQ(read({{"dimensions", 3}}).dimensions, 3u);
  EXPECT_TRUE(read({{"truncate", true}}).truncate);
  EXPECT_EQ(refusal({{"encoding_format", "hex"}}), "INVALID_ARGUMENT: parameter 'encoding_format' is 'hex'");
  EXPECT_EQ(refusal({{"dimensions", 0}}), "INVALID_ARGUMENT: parameter 'dimensions' is the number 0");
  EXPECT_EQ(refusal({{"input", json(2049, "a")}}), "INVALID_ARGUMENT: parameter 'input' has 2049 texts");
  EXPECT_EQ(refusal({{"temperature", 1}}), "UNIMPLEMENTED: parameter 'temperature' is unknown");
}

}  // namespace
}  // namespace troupe::openai
