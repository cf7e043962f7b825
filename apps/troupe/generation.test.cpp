#include "apps/troupe/generation.hpp"

#include "inference/grpc_service.pb.h"
#include "skillsets/sdk/tensor.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace troupe::cli {
namespace {

using json = nlohmann::json;
using testing::HasSubstr;

inference::ModelInferRequest request(std::string_view prompt, const generation_options& options = {}) {
  auto made = generation_request("a model", prompt, prompt_format::text, options);
  EXPECT_TRUE(made) << to_string(made.error());
  return made ? *std::move(made) : inference::ModelInferRequest{};
}

error refusal(std::string_view prompt, const generation_options& options) {
  const auto made = generation_request("a model", prompt, prompt_format::text, options);
  EXPECT_FALSE(made);
  return made ? error{} : made.error();
}

TEST(generation_request, has_the_prompt_and_what_was_said) {
  const auto made = request("a\nb", {.temperature = 0.5, .max_tokens = 7, .seed = -1, .stop = {"\"", "ö"}});
  EXPECT_EQ(made.model_name(), "a model");
  ASSERT_EQ(made.inputs_size(), 1);
  EXPECT_EQ(made.inputs(0).name(), "text_input");
  EXPECT_EQ(made.inputs(0).datatype(), "BYTES");
  std::string data;
  append_bytes(data, "a\nb");
  EXPECT_EQ(made.raw_input_contents(0), data);
  const auto& parameters = made.parameters();
  EXPECT_EQ(parameters.size(), 6u);
  EXPECT_TRUE(parameters.at("stream").bool_param());
  EXPECT_EQ(parameters.at("prompt_format").string_param(), "text");
  EXPECT_EQ(parameters.at("temperature").double_param(), 0.5);
  EXPECT_EQ(parameters.at("max_tokens").int64_param(), 7);
  EXPECT_EQ(parameters.at("seed").int64_param(), -1);
  EXPECT_EQ(json::parse(parameters.at("stop").string_param()), (json{"\"", "ö"}));
}

TEST(generation_request, has_nothing_that_was_not_said) {
  EXPECT_EQ(request("").parameters().size(), 2u);
}

TEST(generation_request, tells_a_schema_from_a_file) {
  EXPECT_EQ(request("x", {.json_schema = " \n{}"}).parameters().at("json_schema").string_param(), " \n{}");
  EXPECT_EQ(refusal("x", {.json_schema = "/nowhere/{"}).code, status_code::not_found);
  EXPECT_EQ(refusal("x", {.json_schema = "/"}).code, status_code::not_found) << "a folder";
  EXPECT_EQ(refusal("x", {.json_schema = "{"}).code, status_code::invalid_argument);
}

TEST(generation_request, refuses_what_is_not_utf_8) {
  EXPECT_EQ(refusal("\xc3", {}).code, status_code::invalid_argument);
  EXPECT_EQ(refusal("x", {.stop = {"\xff"}}).code, status_code::invalid_argument);
}

struct generating : testing::Test {
  inference::ModelInferResponse response(std::initializer_list<std::string> texts,
                                         const std::string& name = "text_output") {
    inference::ModelInferResponse made;
    auto& output = *made.add_outputs();
    output.set_name(name);
    output.set_datatype("BYTES");
    output.add_shape(static_cast<std::int64_t>(texts.size()));
    std::string data;
    for (const auto& text : texts)
      append_bytes(data, text);
    made.add_raw_output_contents(data);
    return made;
  }

  expected<bool> add(const inference::ModelInferResponse& made) {
    return add_response(made, sum, [this](std::string_view text, bool reasoning) {
      seen.push_back((reasoning ? "(" : "") + std::string{text});
      return seen.size() != most;
    });
  }

  generated sum;
  std::vector<std::string> seen;
  std::size_t most = 100;
};

TEST_F(generating, pieces_add_up) {
  auto thought = response({""});
  (*thought.mutable_parameters())["reasoning"].set_string_param("hm");
  auto last = response({" b"});
  (*last.mutable_parameters())["finish_reason"].set_string_param("stop");
  (*last.mutable_parameters())["prompt_tokens"].set_int64_param(5);
  (*last.mutable_parameters())["completion_tokens"].set_int64_param(2);
  (*last.mutable_parameters())["cached_tokens"].set_int64_param(1);
  for (const auto& each : {thought, response({"a"}), last})
    EXPECT_TRUE(*add(each));
  EXPECT_THAT(seen, testing::ElementsAre("(hm", "a", " b"));
  EXPECT_EQ(json::parse(to_json(sum)),
            json::parse(R"({"text":"a b","reasoning":"hm","finish_reason":"stop","prompt_tokens":5,
                "completion_tokens":2,"cached_tokens":1})"));
}

TEST_F(generating, whoever_takes_the_pieces_may_have_enough) {
  most = 1;
  EXPECT_FALSE(*add(response({"a"})));
}

TEST_F(generating, what_holds_no_text_is_the_nodes_fault) {
  for (const auto& wrong : {response({"a"}, "other"), response({}), response({"a", "b"})}) {
    const auto added = add(wrong);
    ASSERT_FALSE(added);
    EXPECT_EQ(added.error().code, status_code::internal);
  }
  EXPECT_TRUE(seen.empty());
}

}  // namespace
}  // namespace troupe::cli
