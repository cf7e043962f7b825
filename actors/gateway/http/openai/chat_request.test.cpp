#include "actors/gateway/http/openai/chat_request.hpp"

#include "actors/gateway/http/openai/testing.hpp"

namespace troupe::openai {
namespace {

using namespace testing_support;

constexpr auto minimal = R"({"model":"m","messages":[{"role":"user","content":"hi"}]})";

std::string refusal(std::initializer_list<std::pair<const char*, json>> members) {
  return refusal_of(read_chat_request, with(minimal, members));
}

text_request read(std::initializer_list<std::pair<const char*, json>> members) {
  auto request = read_chat_request(with(minimal, members));
  EXPECT_TRUE(request) << (request ? "" : request.error().message());
  return request ? *std::move(request) : text_request{};
}

json messages(const json& given) {
  const auto request = read({{"messages", given}});
  return request.prompts.empty() ? json() : json::parse(text_of(request.inference(0)));
}

const json tools = json::parse(
    R"([{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"strict":true}}])");

TEST(chat_request, is_passed_on_as_it_is) {
  const auto request = read({});
  EXPECT_EQ(request.model, "m");
  EXPECT_EQ(request.parameters, (parameter_map{{"prompt_format", std::string{"chat"}}, {"stream", false}}))
      << "and nothing is added";
  ASSERT_EQ(request.size(), 1u);
  EXPECT_EQ(text_of(request.inference(0)), R"([{"role":"user","content":"hi"}])");
  EXPECT_EQ(request.inference(0).inputs.front().shape, std::vector<std::int64_t>{1});
}

TEST(chat_request, has_sampling_parameters) {
  const auto parameters = read({{"temperature", 0},
                                {"top_p", 0.5},
                                {"top_k", 40},
                                {"min_p", 0.1},
                                {"frequency_penalty", -2},
                                {"presence_penalty", 2},
                                {"repetition_penalty", 1.1},
                                {"logit_bias", {{"50256", -100}, {"7", 1.5}}},
                                {"ignore_eos", true},
                                {"priority", 1},
                                {"max_completion_tokens", 7},
                                {"grammar", "root ::= \"a\""},
                                {"chat_template_kwargs", {{"enable_thinking", false}}}})
                              .parameters;
  EXPECT_EQ(get<double>(parameters, "temperature"), 0.0);
  EXPECT_EQ(get<double>(parameters, "top_p"), 0.5);
  EXPECT_EQ(get<std::int64_t>(parameters, "top_k"), 40);
  EXPECT_EQ(get<double>(parameters, "min_p"), 0.1);
  EXPECT_EQ(get<double>(parameters, "frequency_penalty"), -2);
  EXPECT_EQ(get<double>(parameters, "presence_penalty"), 2);
  EXPECT_EQ(get<double>(parameters, "repetition_penalty"), 1.1);
  EXPECT_EQ(get<std::string>(parameters, "logit_bias"), R"({"50256":-100,"7":1.5})");
  EXPECT_TRUE(get<bool>(parameters, "ignore_eos"));
  EXPECT_EQ(get<std::int64_t>(parameters, "priority"), 1);
  EXPECT_EQ(get<std::int64_t>(parameters, "max_tokens"), 7);
  EXPECT_EQ(get<std::string>(parameters, "grammar"), "root ::= \"a\"");
  EXPECT_EQ(get<std::string>(parameters, "chat_template_kwargs"), R"({"enable_thinking":false})");
}

TEST(chat_request, of_several_choices_is_several_requests_with_seeds_of_their_own) {
  auto request = read({{"n", 3}, {"seed", 41}});
  ASSERT_EQ(request.size(), 3u);
  EXPECT_EQ(get<std::int64_t>(request.inference(0).parameters, "seed"), 41);
  EXPECT_EQ(get<std::int64_t>(request.inference(2).parameters, "seed"), 43);
  request = read({{"n", 2}, {"seed", INT64_MAX}});
  EXPECT_EQ(get<std::int64_t>(request.inference(1).parameters, "seed"), INT64_MIN);
  EXPECT_FALSE(read({{"n", 2}}).inference(1).parameters.contains("seed"));
  EXPECT_EQ(refusal({{"n", 0}}), "INVALID_ARGUMENT: parameter 'n' is the number 0");
  EXPECT_EQ(refusal({{"n", 129}}), "INVALID_ARGUMENT: parameter 'n' is the number 129");
}

TEST(chat_request, numbers_are_numbers_within_their_range) {
  EXPECT_EQ(refusal({{"temperature", "NaN"}}), "INVALID_ARGUMENT: parameter 'temperature' is a string");
  EXPECT_EQ(refusal({{"temperature", -0.1}}), "INVALID_ARGUMENT: parameter 'temperature' is the number -0.1");
  EXPECT_EQ(refusal({{"temperature", 1e300}}), "INVALID_ARGUMENT: parameter 'temperature' is the number 1e+300");
  EXPECT_EQ(refusal({{"temperature", true}}), "INVALID_ARGUMENT: parameter 'temperature' is true");
  EXPECT_EQ(refusal({{"top_p", 0}}), "INVALID_ARGUMENT: parameter 'top_p' is the number 0");
  EXPECT_EQ(refusal({{"max_tokens", -1}}), "INVALID_ARGUMENT: parameter 'max_tokens' is the number -1");
  EXPECT_EQ(refusal({{"max_tokens", 1.5}}), "INVALID_ARGUMENT: parameter 'max_tokens' is the number 1.5");
  EXPECT_EQ(refusal({{"max_tokens", 1e30}}), "INVALID_ARGUMENT: parameter 'max_tokens' is the number 1e+30");
  EXPECT_EQ(refusal({{"max_tokens", UINT64_MAX}}),
            "INVALID_ARGUMENT: parameter 'max_tokens' is the number 18446744073709551615");
  EXPECT_EQ(get<std::int64_t>(read({{"max_tokens", 5.0}}).parameters, "max_tokens"), 5) << "is as whole as 5";
  EXPECT_EQ(refusal({{"seed", 1e19}}), "INVALID_ARGUMENT: parameter 'seed' is the number 1e+19");
}

TEST(chat_request, choices_share_their_prompt_and_not_too_many_parameters) {
  const auto request = read({{"n", 2}});
  EXPECT_EQ(request.inference(0).inputs.front().data.bytes().data(),
            request.inference(1).inputs.front().data.bytes().data());
  const std::string grammar(1 << 20, 'x');
  read({{"n", 63}, {"grammar", grammar}});
  EXPECT_EQ(refusal({{"n", 65}, {"grammar", grammar}}),
            "INVALID_ARGUMENT: parameter 'n' asks for 65 answers in all, each with 1048580 bytes of parameters");
  read({{"grammar", std::string(65 << 20, 'x')}});
}

TEST(chat_request, has_one_length) {
  EXPECT_EQ(get<std::int64_t>(read({{"max_tokens", 0}}).parameters, "max_tokens"), 0);
  EXPECT_EQ(read({{"max_completion_tokens", 9}, {"max_tokens", 9}}).names.at("max_tokens"), "max_completion_tokens");
  EXPECT_EQ(refusal({{"max_completion_tokens", 9}, {"max_tokens", 8}}),
            "INVALID_ARGUMENT: parameter 'max_tokens' is another than max_completion_tokens");
}

TEST(chat_request, needs_a_model_and_messages) {
  EXPECT_EQ(refusal_of(read_chat_request, json::object()), "INVALID_ARGUMENT: parameter 'model' is missing");
  EXPECT_EQ(refusal({{"model", nullptr}}), "INVALID_ARGUMENT: parameter 'model' is missing");
  EXPECT_EQ(refusal({{"model", 7}}), "INVALID_ARGUMENT: parameter 'model' is the number 7");
  EXPECT_EQ(refusal({{"messages", nullptr}}), "INVALID_ARGUMENT: parameter 'messages' is missing");
  EXPECT_EQ(refusal({{"messages", json::array()}}), "INVALID_ARGUMENT: parameter 'messages' is empty");
  EXPECT_EQ(refusal({{"messages", "hi"}}), "INVALID_ARGUMENT: parameter 'messages' is a string");
  EXPECT_EQ(refusal({{"messages", {"hi"}}}), "INVALID_ARGUMENT: parameter 'messages[0]' is a string");
}

TEST(chat_request, messages_have_a_known_role_and_text) {
  const auto second = [](const char* message) {
    return refusal({{"messages", {{{"role", "user"}, {"content", "hi"}}, json::parse(message)}}});
  };
  EXPECT_EQ(second("{}"), "INVALID_ARGUMENT: parameter 'messages[1].role' is missing");
  EXPECT_EQ(second(R"({"role":"king","content":"x"})"), "INVALID_ARGUMENT: parameter 'messages[1].role' is 'king'");
  EXPECT_EQ(second(R"({"role":"function","content":"x"})"),
            "INVALID_ARGUMENT: parameter 'messages[1].role' is 'function'");
  EXPECT_EQ(second(R"({"role":"user"})"), "INVALID_ARGUMENT: parameter 'messages[1].content' is missing");
  EXPECT_EQ(second(R"({"role":"user","content":7})"),
            "INVALID_ARGUMENT: parameter 'messages[1].content' is the number 7");
  EXPECT_EQ(second(R"({"role":"user","content":[]})"),
            "INVALID_ARGUMENT: parameter 'messages[1].content' is an empty array");
  EXPECT_EQ(second(R"({"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{}}]})"),
            "UNIMPLEMENTED: parameter 'messages[1].content[1].type' is 'image_url'");
  EXPECT_EQ(second(R"({"role":"user","content":[{"type":"text"}]})"),
            "INVALID_ARGUMENT: parameter 'messages[1].content[0].text' is missing");
  EXPECT_EQ(second(R"({"role":"user","content":"x","colour":"red"})"),
            "UNIMPLEMENTED: parameter 'messages[1].colour' is unknown");
  EXPECT_EQ(second(R"({"role":"tool","content":"x"})"),
            "INVALID_ARGUMENT: parameter 'messages[1].tool_call_id' is missing");
  EXPECT_EQ(second(R"({"role":"user","content":"x","tool_call_id":"c"})"),
            "INVALID_ARGUMENT: parameter 'messages[1].tool_call_id' is in a message of role 'user'");
}

TEST(chat_request, messages_come_in_the_form_of_the_task) {
  EXPECT_EQ(messages(json::parse(
                R"([{"content":[{"type":"text","text":"a"}],"role":"developer","name":"n"},
                    {"role":"assistant","content":null,"refusal":null,"annotations":[],"audio":null,"tool_calls":[
                      {"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},
                    {"role":"tool","tool_call_id":"c","content":"7"},
                    {"role":"assistant","content":"so","reasoning_content":"hm"}])")),
            json::parse(
                R"([{"role":"system","content":[{"type":"text","text":"a"}],"name":"n"},
                    {"role":"assistant","tool_calls":[
                      {"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}],"content":null},
                    {"role":"tool","content":"7","tool_call_id":"c"},
                    {"role":"assistant","content":"so"}])"));
}

TEST(chat_request, tool_calls_of_messages_are_whole) {
  const auto call = [](const char* text) {
    return refusal({{"messages", {{{"role", "assistant"}, {"tool_calls", {json::parse(text)}}}}}});
  };
  EXPECT_EQ(call(R"({"type":"function","function":{"name":"f","arguments":"{}"}})"),
            "INVALID_ARGUMENT: parameter 'messages[0].tool_calls[0].id' is missing");
  EXPECT_EQ(call(R"({"id":"c","type":"function"})"),
            "INVALID_ARGUMENT: parameter 'messages[0].tool_calls[0].function' is missing");
  EXPECT_EQ(call(R"({"id":"c","function":{"name":"f","arguments":{}}})"),
            "INVALID_ARGUMENT: parameter 'messages[0].tool_calls[0].function.arguments' is an object");
  EXPECT_EQ(call(R"({"id":"c","type":"custom"})"),
            "UNIMPLEMENTED: parameter 'messages[0].tool_calls[0].type' is 'custom'");
}

TEST(chat_request, stops_are_few_and_not_empty) {
  EXPECT_EQ(get<std::string>(read({{"stop", "\n"}}).parameters, "stop"), R"(["\n"])");
  EXPECT_EQ(get<std::string>(read({{"stop", {"a", "b"}}}).parameters, "stop"), R"(["a","b"])");
  EXPECT_FALSE(read({{"stop", json::array()}}).parameters.contains("stop"));
  EXPECT_EQ(refusal({{"stop", ""}}), "INVALID_ARGUMENT: parameter 'stop' is empty");
  EXPECT_EQ(refusal({{"stop", {"a", 7}}}), "INVALID_ARGUMENT: parameter 'stop[1]' is the number 7");
  EXPECT_EQ(refusal({{"stop", json(3000, "x")}}), "INVALID_ARGUMENT: parameter 'stop' has 3000 strings");
  EXPECT_EQ(refusal({{"stop", std::string(1025, 'x')}}), "INVALID_ARGUMENT: parameter 'stop' has 1025 bytes");
}

TEST(chat_request, logit_bias_is_of_tokens) {
  EXPECT_EQ(refusal({{"logit_bias", {{"x", 1}}}}), "INVALID_ARGUMENT: parameter 'logit_bias.x' is no token id");
  EXPECT_EQ(refusal({{"logit_bias", {{"-1", 1}}}}), "INVALID_ARGUMENT: parameter 'logit_bias.-1' is no token id");
  EXPECT_EQ(refusal({{"logit_bias", {{"1", 101}}}}), "INVALID_ARGUMENT: parameter 'logit_bias.1' is the number 101");
  EXPECT_EQ(refusal({{"logit_bias", {{"1", nullptr}}}}), "INVALID_ARGUMENT: parameter 'logit_bias.1' is null");
  EXPECT_EQ(refusal({{"logit_bias", 7}}), "INVALID_ARGUMENT: parameter 'logit_bias' is the number 7");
  auto many = json::object();
  for (int i = 0; i != 1025; ++i)
    many[std::to_string(i)] = 1;
  EXPECT_EQ(refusal({{"logit_bias", many}}), "INVALID_ARGUMENT: parameter 'logit_bias' has 1025 tokens");
}

TEST(chat_request, has_logprobs) {
  EXPECT_EQ(get<std::int64_t>(read({{"logprobs", true}}).parameters, "logprobs"), 0);
  EXPECT_EQ(get<std::int64_t>(read({{"logprobs", true}, {"top_logprobs", 20}}).parameters, "logprobs"), 20);
  EXPECT_FALSE(read({{"logprobs", false}}).parameters.contains("logprobs"));
  EXPECT_EQ(refusal({{"top_logprobs", 2}}), "INVALID_ARGUMENT: parameter 'top_logprobs' is given, and logprobs is not");
  EXPECT_EQ(refusal({{"logprobs", true}, {"top_logprobs", 21}}),
            "INVALID_ARGUMENT: parameter 'top_logprobs' is the number 21");
}

TEST(chat_request, streams) {
  const auto request = read({{"stream", true}, {"stream_options", {{"include_usage", true}}}});
  EXPECT_TRUE(request.stream);
  EXPECT_TRUE(request.include_usage);
  EXPECT_TRUE(get<bool>(request.parameters, "stream"));
  EXPECT_EQ(refusal({{"stream_options", {{"include_usage", true}}}}),
            "INVALID_ARGUMENT: parameter 'stream_options' is given, and stream is not");
  EXPECT_EQ(refusal({{"stream", true}, {"stream_options", {{"speed", 1}}}}),
            "UNIMPLEMENTED: parameter 'stream_options.speed' is unknown");
  EXPECT_EQ(refusal({{"stream", "yes"}}), "INVALID_ARGUMENT: parameter 'stream' is a string");
}

TEST(chat_request, has_a_response_format) {
  EXPECT_FALSE(read({{"response_format", {{"type", "text"}}}}).parameters.contains("json_schema"));
  EXPECT_EQ(get<std::string>(read({{"response_format", {{"type", "json_object"}}}}).parameters, "json_schema"),
            R"({"type":"object"})");
  const auto schema = json::parse(R"({"type":"json_schema","json_schema":{"name":"n","strict":true,
      "schema":{"type":"object","properties":{"z":{},"a":{}}}}})");
  const auto request = read({{"response_format", schema}});
  EXPECT_EQ(get<std::string>(request.parameters, "json_schema"), R"({"type":"object","properties":{"z":{},"a":{}}})")
      << "in its own order";
  EXPECT_EQ(request.names.at("json_schema"), "response_format.json_schema.schema");
}

TEST(chat_request, a_response_format_is_known) {
  const auto format = [](const char* text) { return refusal({{"response_format", json::parse(text)}}); };
  EXPECT_EQ(format("{}"), "INVALID_ARGUMENT: parameter 'response_format.type' is missing");
  EXPECT_EQ(format(R"({"type":"xml"})"), "UNIMPLEMENTED: parameter 'response_format.type' is 'xml'");
  EXPECT_EQ(format(R"("json")"), "INVALID_ARGUMENT: parameter 'response_format' is a string");
  EXPECT_EQ(format(R"({"type":"json_schema"})"),
            "INVALID_ARGUMENT: parameter 'response_format.json_schema' is missing");
  EXPECT_EQ(format(R"({"type":"json_schema","json_schema":{"name":"n"}})"),
            "INVALID_ARGUMENT: parameter 'response_format.json_schema.schema' is missing");
  EXPECT_EQ(format(R"({"type":"json_schema","json_schema":{"schema":{}}})"),
            "INVALID_ARGUMENT: parameter 'response_format.json_schema.name' is missing");
  EXPECT_EQ(refusal({{"response_format", {{"type", "json_object"}}}, {"grammar", "root ::= \"a\""}}),
            "INVALID_ARGUMENT: parameter 'response_format.type' is 'json_object', and there is a grammar, too");
}

TEST(chat_request, has_tools) {
  const auto request = read({{"tools", tools}, {"tool_choice", "required"}, {"parallel_tool_calls", false}});
  EXPECT_EQ(json::parse(get<std::string>(request.parameters, "tools")), tools);
  EXPECT_EQ(get<std::string>(request.parameters, "tool_choice"), "required");
  EXPECT_FALSE(get<bool>(request.parameters, "parallel_tool_calls"));
  const auto one = read({{"tools", tools}, {"tool_choice", {{"type", "function"}, {"function", {{"name", "f"}}}}}});
  EXPECT_EQ(get<std::string>(one.parameters, "tool_choice"), R"({"type":"function","function":{"name":"f"}})");
  const auto none = read({{"tools", json::array()}, {"tool_choice", "none"}, {"parallel_tool_calls", true}});
  EXPECT_EQ(none.parameters, read({}).parameters);
}

TEST(chat_request, tools_are_functions_with_names_of_their_own) {
  EXPECT_EQ(refusal({{"tools", {{{"type", "web_search"}}}}}),
            "UNIMPLEMENTED: parameter 'tools[0].type' is 'web_search'");
  EXPECT_EQ(refusal({{"tools", {{{"type", "function"}}}}}),
            "INVALID_ARGUMENT: parameter 'tools[0].function' is missing");
  EXPECT_EQ(refusal({{"tools", {{{"type", "function"}, {"function", {{"name", "a b"}}}}}}}),
            "INVALID_ARGUMENT: parameter 'tools[0].function.name' is 'a b'");
  EXPECT_EQ(refusal({{"tools", {tools[0], tools[0]}}}),
            "INVALID_ARGUMENT: parameter 'tools[1].function.name' is 'f', as that of another tool");
  EXPECT_EQ(refusal({{"tools", json(129, tools[0])}}), "INVALID_ARGUMENT: parameter 'tools' has 129 tools");
  EXPECT_EQ(refusal({{"tool_choice", "required"}}),
            "INVALID_ARGUMENT: parameter 'tool_choice' is 'required', and there are no tools");
  EXPECT_EQ(refusal({{"tools", tools}, {"tool_choice", "some"}}),
            "INVALID_ARGUMENT: parameter 'tool_choice' is 'some'");
  EXPECT_EQ(refusal({{"tools", tools}, {"tool_choice", {{"type", "function"}, {"function", {{"name", "g"}}}}}}),
            "INVALID_ARGUMENT: parameter 'tool_choice.function.name' is 'g', which is none of the tools");
}

TEST(chat_request, what_the_node_cannot_do_is_refused) {
  EXPECT_EQ(refusal({{"store", true}}), "UNIMPLEMENTED: parameter 'store' is true, and the node keeps no answers");
  EXPECT_TRUE(read({{"store", false}}).parameters.contains("stream"));
  EXPECT_EQ(refusal({{"service_tier", "priority"}}), "UNIMPLEMENTED: parameter 'service_tier' is 'priority'");
  EXPECT_EQ(refusal({{"modalities", {"text", "audio"}}}), "UNIMPLEMENTED: parameter 'modalities[1]' is not \"text\"");
  read({{"modalities", {"text"}}, {"service_tier", "default"}});
}

}  // namespace
}  // namespace troupe::openai
