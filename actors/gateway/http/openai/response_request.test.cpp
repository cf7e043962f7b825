#include "actors/gateway/http/openai/response_request.hpp"

#include "actors/gateway/http/openai/testing.hpp"

namespace troupe::openai {
namespace {

using namespace testing_support;

constexpr auto minimal = R"({"model":"m","input":"hi"})";

std::string refusal(std::initializer_list<std::pair<const char*, json>> members) {
  return refusal_of(read_response_request, with(minimal, members));
}

response_request read(std::initializer_list<std::pair<const char*, json>> members) {
  auto request = read_response_request(with(minimal, members));
  EXPECT_TRUE(request) << (request ? "" : request.error().message());
  return request ? *std::move(request) : response_request{};
}

json messages(const json& input, const json& instructions = nullptr) {
  const auto request = read({{"input", input}, {"instructions", instructions}});
  return request.prompts.empty() ? json() : json::parse(text_of(request.inference(0)));
}

TEST(response_request, is_a_chat) {
  EXPECT_EQ(read({}).parameters, (parameter_map{{"prompt_format", std::string{"chat"}}, {"stream", false}}));
  EXPECT_EQ(messages("hi", "be brief"),
            json::parse(R"([{"role":"system","content":"be brief"},{"role":"user","content":"hi"}])"));
}

TEST(response_request, items_are_messages) {
  EXPECT_EQ(messages(json::parse(R"([
      {"role":"developer","content":"d"},
      {"type":"message","role":"user","content":[{"type":"input_text","text":"a"}]},
      {"id":"rs_1","type":"reasoning","summary":[],"content":[]},
      {"id":"msg_1","type":"message","status":"completed","role":"assistant",
       "content":[{"type":"output_text","text":"b","annotations":[],"logprobs":[]}]},
      {"id":"fc_1","type":"function_call","status":"completed","call_id":"c1","name":"f","arguments":"{}"},
      {"type":"function_call","call_id":"c2","name":"g","arguments":"{}"},
      {"type":"function_call_output","call_id":"c1","output":"7"},
      {"type":"function_call_output","call_id":"c2","output":[{"type":"input_text","text":"8"}]}])")),
            json::parse(R"([
      {"role":"system","content":"d"},
      {"role":"user","content":[{"type":"text","text":"a"}]},
      {"role":"assistant","content":[{"type":"text","text":"b"}],"tool_calls":[
        {"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}},
        {"id":"c2","type":"function","function":{"name":"g","arguments":"{}"}}]},
      {"role":"tool","content":"7","tool_call_id":"c1"},
      {"role":"tool","content":[{"type":"text","text":"8"}],"tool_call_id":"c2"}])"));
}

TEST(response_request, items_are_known_and_whole) {
  const auto item = [](const char* text) { return refusal({{"input", json::array({json::parse(text)})}}); };
  EXPECT_EQ(item(R"({"type":"computer_call"})"), "UNIMPLEMENTED: parameter 'input[0].type' is 'computer_call'");
  EXPECT_EQ(item(R"({"role":"tool","content":"x"})"), "INVALID_ARGUMENT: parameter 'input[0].role' is 'tool'");
  EXPECT_EQ(item(R"({"role":"user"})"), "INVALID_ARGUMENT: parameter 'input[0].content' is missing");
  EXPECT_EQ(item(R"({"role":"user","content":[{"type":"input_image"}]})"),
            "UNIMPLEMENTED: parameter 'input[0].content[0].type' is 'input_image'");
  EXPECT_EQ(item(R"({"type":"function_call","name":"f","arguments":"{}"})"),
            "INVALID_ARGUMENT: parameter 'input[0].call_id' is missing");
  EXPECT_EQ(item(R"({"type":"function_call_output","call_id":"c"})"),
            "INVALID_ARGUMENT: parameter 'input[0].output' is missing");
  EXPECT_EQ(item(R"({"type":"reasoning"})"), "INVALID_ARGUMENT: parameter 'input' has no message");
  EXPECT_EQ(refusal({{"input", json::array()}}), "INVALID_ARGUMENT: parameter 'input' is an empty array");
  EXPECT_EQ(refusal({{"input", nullptr}}), "INVALID_ARGUMENT: parameter 'input' is missing");
}

TEST(response_request, has_tools_that_are_flat) {
  const auto request = read({{"tools", json::parse(R"([{"type":"function","name":"f","parameters":{"type":"object"},
                                                       "strict":true}])")},
                             {"tool_choice", {{"type", "function"}, {"name", "f"}}}});
  EXPECT_EQ(get<std::string>(request.parameters, "tools"),
            R"([{"type":"function","function":{"name":"f","parameters":{"type":"object"},"strict":true}}])");
  EXPECT_EQ(get<std::string>(request.parameters, "tool_choice"), R"({"type":"function","function":{"name":"f"}})");
  EXPECT_EQ(request.repeated["tools"][0]["name"], "f");
  EXPECT_EQ(refusal({{"tools", json::parse(R"([{"type":"web_search_preview"}])")}}),
            "UNIMPLEMENTED: parameter 'tools[0].type' is 'web_search_preview'");
}

TEST(response_request, has_a_format_and_a_length) {
  const auto request = read({{"text", json::parse(R"({"format":{"type":"json_schema","name":"n","strict":true,
                                                     "schema":{"type":"object"}}})")},
                             {"max_output_tokens", 5}});
  EXPECT_EQ(get<std::string>(request.parameters, "json_schema"), R"({"type":"object"})");
  EXPECT_EQ(request.names.at("json_schema"), "text.format.schema");
  EXPECT_EQ(get<std::int64_t>(request.parameters, "max_tokens"), 5);
  EXPECT_EQ(request.names.at("max_tokens"), "max_output_tokens");
  EXPECT_EQ(request.repeated["max_output_tokens"], 5);
  EXPECT_EQ(refusal({{"text", {{"verbosity", "low"}}}}), "UNIMPLEMENTED: parameter 'text.verbosity' is unknown");
  EXPECT_EQ(refusal({{"text", json::parse(R"({"format":{"type":"json_schema","name":"n"}})")}}),
            "INVALID_ARGUMENT: parameter 'text.format.schema' is missing");
}

TEST(response_request, has_logprobs_where_they_are_included) {
  const auto request = read({{"include", {"message.output_text.logprobs"}}, {"top_logprobs", 2}});
  EXPECT_TRUE(request.logprobs);
  EXPECT_EQ(get<std::int64_t>(request.parameters, "logprobs"), 2);
  EXPECT_FALSE(read({{"include", json::array()}}).logprobs);
  EXPECT_EQ(refusal({{"include", {"file_search_call.results"}}}),
            "UNIMPLEMENTED: parameter 'include[0]' is not message.output_text.logprobs");
}

TEST(response_request, nothing_is_stored) {
  EXPECT_EQ(refusal({{"store", true}}), "UNIMPLEMENTED: parameter 'store' is true, and the node keeps no answers");
  EXPECT_EQ(refusal({{"background", true}}),
            "UNIMPLEMENTED: parameter 'background' is true, and the node keeps no answers");
  EXPECT_EQ(refusal({{"previous_response_id", "resp_1"}}),
            "UNIMPLEMENTED: parameter 'previous_response_id' is not supported here");
  EXPECT_EQ(refusal({{"conversation", "conv_1"}}), "UNIMPLEMENTED: parameter 'conversation' is not supported here");
  EXPECT_EQ(refusal({{"truncation", "auto"}}), "UNIMPLEMENTED: parameter 'truncation' is 'auto'");
  read({{"store", false}, {"background", false}, {"truncation", "disabled"}, {"metadata", {{"a", "b"}}}});
}

}  // namespace
}  // namespace troupe::openai
