#include "actors/gateway/http/openai/chat_format.hpp"
#include "actors/gateway/http/openai/completion_format.hpp"
#include "actors/gateway/http/openai/response_format.hpp"
#include "actors/gateway/http/openai/testing.hpp"

#include <memory>

namespace troupe::openai {
namespace {

using namespace testing_support;

const answer_head head{"id-1", 17, "m", "fp"};

const json call_begin =
    json::parse(R"([{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":""}}])");
const json call_rest = json::parse(R"([{"index":0,"function":{"arguments":"{\"a\":"}}])");
const json call_end = json::parse(R"([{"index":0,"function":{"arguments":"1}"}}])");
const json logprobs = json::parse(
    R"([{"token":"hi","id":1,"logprob":-0.5,"bytes":[104,105],
         "top_logprobs":[{"token":"hi","id":1,"logprob":-0.5,"bytes":[104,105]},
                         {"token":"ho","id":2,"logprob":-1.5,"bytes":[104,111]}]},
        {"token":"\u00fc","id":3,"logprob":-0.25,"bytes":[195,188],"top_logprobs":[]},
        {"token":"!","id":4,"logprob":-0.125,"bytes":[33],"top_logprobs":[]}])");

text_piece piece(const std::string& text) {
  text_piece result;
  result.text = text;
  return result;
}

text_piece last(const std::string& text, const std::string& reason, std::int64_t prompt, std::int64_t completion,
                std::int64_t cached = 0) {
  auto result = piece(text);
  result.finish_reason = reason;
  result.usage = token_usage{prompt, completion, cached};
  return result;
}

text_piece calls(const json& deltas) {
  text_piece result;
  result.tool_calls = deltas;
  return result;
}

/// What a stream says of pieces of a single choice, and what was made of them.
struct told {
  std::string stream;
  std::vector<text_choice> choices;
};

told tell(text_format& format, const std::vector<std::pair<std::size_t, text_piece>>& pieces, std::size_t choices = 1) {
  told result{{}, std::vector<text_choice>(choices)};
  format.begin(result.stream);
  for (const auto& [index, each] : pieces) {
    result.choices[index].add(each);
    format.add(index, each, result.stream);
  }
  format.end(result.choices, result.stream);
  return result;
}

std::vector<std::string> types_of(const std::vector<json>& events) {
  std::vector<std::string> result;
  for (const auto& event : events)
    result.push_back(event["type"]);
  return result;
}

TEST(chat_format, streams_role_content_finish_and_usage) {
  chat_format format{head, 1, false, true};
  const auto events =
      events_of(tell(format, {{0, piece("Hel")}, {0, piece("")}, {0, last("lo", "stop", 3, 2, 1)}}).stream);
  ASSERT_EQ(events.size(), 6u);
  EXPECT_EQ(events[0], json::parse(R"({"id":"id-1","object":"chat.completion.chunk","created":17,"model":"m",
      "system_fingerprint":"fp","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},
      "logprobs":null,"finish_reason":null}],"usage":null})"));
  EXPECT_EQ(events[1]["choices"][0]["delta"], json::parse(R"({"content":"Hel"})"));
  EXPECT_EQ(events[2]["choices"][0]["delta"], json::parse(R"({"content":"lo"})"));
  EXPECT_EQ(events[3]["choices"][0]["delta"], json::object());
  EXPECT_EQ(events[3]["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(events[4]["choices"], json::array());
  EXPECT_EQ(events[4]["usage"], json::parse(R"({"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,
                                                "prompt_tokens_details":{"cached_tokens":1}})"));
  EXPECT_EQ(events[5], "[DONE]");
}

TEST(chat_format, streams_choices_between_each_other) {
  chat_format format{head, 2, false, false};
  const auto events = events_of(
      tell(format, {{1, piece("a")}, {0, piece("b")}, {0, last("", "stop", 3, 1)}, {1, last("c", "length", 3, 2)}}, 2)
          .stream);
  std::vector<std::size_t> order;
  for (const auto& event : events)
    if (event.is_object())
      order.push_back(event["choices"][0]["index"]);
  EXPECT_EQ(order, (std::vector<std::size_t>{1, 1, 0, 0, 0, 1, 1}));
  EXPECT_FALSE(events.front().contains("usage"));
}

TEST(chat_format, streams_tool_calls_by_index) {
  chat_format format{head, 1, false, false};
  const auto events = events_of(
      tell(format, {{0, calls(call_begin)}, {0, calls(call_rest)}, {0, last("", "tool_calls", 3, 9)}}).stream);
  ASSERT_EQ(events.size(), 5u);
  EXPECT_EQ(events[1]["choices"][0]["delta"]["tool_calls"], call_begin);
  EXPECT_EQ(events[2]["choices"][0]["delta"]["tool_calls"], call_rest);
  EXPECT_EQ(events[3]["choices"][0]["finish_reason"], "tool_calls");
}

TEST(chat_format, tells_the_whole) {
  std::vector<text_choice> choices(2);
  choices[0].add(calls(call_begin));
  choices[0].add(calls(call_rest));
  choices[0].add(calls(call_end));
  choices[0].add(last("", "tool_calls", 5, 7, 4));
  auto thought = last("so", "stop", 5, 2, 5);
  thought.reasoning = "hm";
  choices[1].add(thought);
  EXPECT_EQ(chat_format(head, 2, false, false).whole(choices), json::parse(R"({
      "id":"id-1","object":"chat.completion","created":17,"model":"m","system_fingerprint":"fp","choices":[
      {"index":0,"message":{"role":"assistant","content":null,"refusal":null,"tool_calls":[
        {"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},
       "logprobs":null,"finish_reason":"tool_calls"},
      {"index":1,"message":{"role":"assistant","content":"so","refusal":null,"reasoning_content":"hm"},
       "logprobs":null,"finish_reason":"stop"}],
      "usage":{"prompt_tokens":5,"completion_tokens":9,"total_tokens":14,
               "prompt_tokens_details":{"cached_tokens":4}}})"));
}

TEST(chat_format, tells_logprobs) {
  auto with_logprobs = last("hi\u00fc!", "stop", 1, 3);
  with_logprobs.logprobs = logprobs;
  std::vector<text_choice> choices(1);
  choices[0].add(with_logprobs);
  const auto told = chat_format(head, 1, true, false).whole(choices)["choices"][0]["logprobs"];
  EXPECT_EQ(told["content"][0], json::parse(R"({"token":"hi","logprob":-0.5,"bytes":[104,105],"top_logprobs":[
      {"token":"hi","logprob":-0.5,"bytes":[104,105]},{"token":"ho","logprob":-1.5,"bytes":[104,111]}]})"));
  EXPECT_EQ(told["content"].size(), 3u);
  EXPECT_EQ(told["refusal"], nullptr);
}

TEST(completion_format, tells_logprobs_in_their_older_form) {
  auto first = piece("hi\u00fc!");
  first.logprobs = logprobs;
  auto second = last("hi\u00fc!", "stop", 1, 6);
  second.logprobs = logprobs;
  completion_format format{head, 1, 1, true, false};
  const auto events = events_of(tell(format, {{0, first}, {0, second}}).stream);
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0]["choices"][0]["logprobs"],
            json::parse(R"({"tokens":["hi","\u00fc","!"],"token_logprobs":[-0.5,-0.25,-0.125],
                            "top_logprobs":[{"hi":-0.5,"ho":-1.5},{},{}],"text_offset":[0,2,3]})"));
  EXPECT_EQ(events[1]["choices"][0]["logprobs"]["text_offset"], json::parse("[4,6,7]"));
}

TEST(completion_format, tells_the_whole) {
  std::vector<text_choice> choices(4);
  for (std::size_t i = 0; i != choices.size(); ++i)
    choices[i].add(last(std::to_string(i), "length", i < 2 ? 5 : 7, 16, i < 2 ? 0 : 6));
  const auto told = completion_format(head, 2, 2, false, false).whole(choices);
  EXPECT_EQ(told["object"], "text_completion");
  EXPECT_EQ(told["choices"][3], json::parse(R"({"index":3,"text":"3","logprobs":null,"finish_reason":"length"})"));
  EXPECT_EQ(told["usage"], json::parse(R"({"prompt_tokens":12,"completion_tokens":64,"total_tokens":76,
                                           "prompt_tokens_details":{"cached_tokens":6}})"))
      << "the choices of a prompt share it";
}

TEST(completion_format, streams_texts) {
  completion_format format{head, 1, 1, false, true};
  const auto events = events_of(tell(format, {{0, piece("a")}, {0, piece("")}, {0, last("b", "stop", 3, 2)}}).stream);
  ASSERT_EQ(events.size(), 4u);
  EXPECT_EQ(events[0]["choices"][0], json::parse(R"({"index":0,"text":"a","logprobs":null,"finish_reason":null})"));
  EXPECT_EQ(events[1]["choices"][0], json::parse(R"({"index":0,"text":"b","logprobs":null,"finish_reason":"stop"})"));
  EXPECT_EQ(events[2]["usage"]["total_tokens"], 5);
  EXPECT_EQ(events[3], "[DONE]");
}

TEST(response_format, streams_a_message) {
  response_format format{head, {{"temperature", 0.5}}, false};
  const auto events = events_of(tell(format, {{0, piece("Hel")}, {0, last("lo", "stop", 3, 2, 1)}}).stream);
  EXPECT_EQ(types_of(events),
            (std::vector<std::string>{
                "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
                "response.output_text.delta", "response.output_text.delta", "response.output_text.done",
                "response.content_part.done", "response.output_item.done", "response.completed"}));
  for (std::size_t i = 0; i != events.size(); ++i)
    EXPECT_EQ(events[i]["sequence_number"], i);
  EXPECT_EQ(events[0]["response"]["status"], "in_progress");
  EXPECT_EQ(events[0]["response"]["output"], json::array());
  EXPECT_EQ(events[2]["item"]["content"], json::array());
  EXPECT_EQ(events[4]["delta"], "Hel");
  EXPECT_EQ(events[4]["item_id"], events[2]["item"]["id"]);
  EXPECT_EQ(events[6]["text"], "Hello");
  const auto& done = events.back()["response"];
  EXPECT_EQ(done["status"], "completed");
  EXPECT_EQ(done["temperature"], 0.5);
  EXPECT_EQ(done["output"][0]["content"][0]["text"], "Hello");
  EXPECT_EQ(done["output"][0]["status"], "completed");
  EXPECT_EQ(done["output"][0], events[8]["item"]);
  EXPECT_EQ(done["usage"], json::parse(R"({"input_tokens":3,"input_tokens_details":{"cached_tokens":1},
      "output_tokens":2,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":5})"));
}

TEST(response_format, streams_reasoning_text_and_calls_one_after_the_other) {
  text_piece thought;
  thought.reasoning = "hm";
  auto other_call = call_begin;
  other_call[0]["index"] = 1;
  other_call[0]["id"] = "call_2";
  response_format format{head, json::object(), false};
  const auto events = events_of(tell(format, {{0, thought},
                                              {0, piece("so")},
                                              {0, calls(call_begin)},
                                              {0, calls(call_rest)},
                                              {0, calls(call_end)},
                                              {0, calls(other_call)},
                                              {0, last("", "tool_calls", 3, 20)}})
                                    .stream);
  EXPECT_EQ(types_of(events), (std::vector<std::string>{"response.created",
                                                        "response.in_progress",
                                                        "response.output_item.added",
                                                        "response.content_part.added",
                                                        "response.reasoning_text.delta",
                                                        "response.reasoning_text.done",
                                                        "response.content_part.done",
                                                        "response.output_item.done",
                                                        "response.output_item.added",
                                                        "response.content_part.added",
                                                        "response.output_text.delta",
                                                        "response.output_text.done",
                                                        "response.content_part.done",
                                                        "response.output_item.done",
                                                        "response.output_item.added",
                                                        "response.function_call_arguments.delta",
                                                        "response.function_call_arguments.delta",
                                                        "response.output_item.added",
                                                        "response.function_call_arguments.done",
                                                        "response.output_item.done",
                                                        "response.function_call_arguments.done",
                                                        "response.output_item.done",
                                                        "response.completed"}));
  const auto& output = events.back()["response"]["output"];
  ASSERT_EQ(output.size(), 4u);
  EXPECT_EQ(output[0]["type"], "reasoning");
  EXPECT_EQ(output[1]["type"], "message");
  EXPECT_EQ(output[2]["call_id"], "call_1");
  EXPECT_EQ(output[2]["arguments"], R"({"a":1})");
  EXPECT_EQ(output[3]["call_id"], "call_2");
  EXPECT_EQ(events.back()["response"]["usage"]["output_tokens_details"]["reasoning_tokens"], nullptr)
      << "which nobody has counted";
}

TEST(response_format, what_was_cut_off_is_incomplete) {
  response_format format{head, json::object(), false};
  const auto events = events_of(tell(format, {{0, piece("a")}, {0, last("", "length", 3, 1)}}).stream);
  EXPECT_EQ(events.back()["type"], "response.incomplete");
  const auto& done = events.back()["response"];
  EXPECT_EQ(done["status"], "incomplete");
  EXPECT_EQ(done["incomplete_details"]["reason"], "max_output_tokens");
  EXPECT_EQ(done["output"][0]["status"], "incomplete");
  EXPECT_EQ(events[events.size() - 2]["item"]["status"], "incomplete");
}

TEST(response_format, tells_the_whole_as_the_stream_does) {
  const auto script = {std::pair{std::size_t{0}, piece("so")},
                       {0, calls(call_begin)},
                       {0, calls(call_rest)},
                       {0, calls(call_end)},
                       {0, last("", "tool_calls", 3, 20)}};
  response_format streamed{head, json::object(), false};
  const auto told = tell(streamed, script);
  auto by_stream = events_of(told.stream).back()["response"];
  auto whole = response_format{head, json::object(), false}.whole(told.choices);
  ASSERT_EQ(whole["output"].size(), 2u);
  for (auto* each : {&by_stream, &whole})
    for (auto& item : (*each)["output"])
      item.erase("id");
  EXPECT_EQ(whole, by_stream);
}

TEST(response_format, without_a_word_is_an_empty_message) {
  std::vector<text_choice> choices(1);
  choices[0].add(last("", "stop", 3, 0));
  const auto whole = response_format{head, json::object(), false}.whole(choices);
  ASSERT_EQ(whole["output"].size(), 1u);
  EXPECT_EQ(whole["output"][0]["content"][0]["text"], "");
}

TEST(response_format, says_why_it_failed) {
  response_format format{head, json::object(), false};
  std::string stream;
  format.begin(stream);
  format.add(0, piece("a"), stream);
  format.fail(to_api_error(make_error(status_code::internal, "it broke")), stream);
  const auto events = events_of(stream);
  EXPECT_EQ(events.back()["type"], "response.failed");
  EXPECT_EQ(events.back()["response"]["status"], "failed");
  EXPECT_EQ(events.back()["response"]["error"], json::parse(R"({"code":"server_error","message":"it broke"})"));
}

TEST(text_answer, is_what_the_task_promises) {
  auto piece = read_piece(text_response("x", {{"reasoning", std::string{"hm"}}, {"tool_calls", call_begin.dump()}}));
  ASSERT_TRUE(piece);
  EXPECT_EQ(piece->text, "x");
  EXPECT_EQ(piece->reasoning, "hm");
  EXPECT_EQ(piece->tool_calls, call_begin);
  EXPECT_FALSE(piece->usage);
  piece = read_piece(last_response("x", "length", 7, 8, 9));
  ASSERT_TRUE(piece && piece->usage);
  EXPECT_EQ(piece->finish_reason, "length");
  EXPECT_EQ(piece->usage->cached, 9);
  for (const auto& broken :
       {inference_response{}, text_response("x", {{"tool_calls", std::string{"["}}}),
        text_response("x", {{"tool_calls", std::string{"[1]"}}}), text_response("x", {{"logprobs", std::string{"{}"}}}),
        inference_response{{tensor{"text_output", datatype::bytes, {1}, buffer::take(std::string{"ab"})}}, {}},
        inference_response{{tensor{"text_output", datatype::fp32, {1}, buffer::take(std::string{"abcd"})}}, {}}}) {
    const auto read = read_piece(broken);
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, status_code::internal);
  }
}

TEST(ids, are_never_the_same) {
  const auto id = make_id("chatcmpl-");
  EXPECT_EQ(id.size(), 9u + 32u);
  EXPECT_TRUE(id.starts_with("chatcmpl-"));
  EXPECT_NE(id, make_id("chatcmpl-"));
}

}  // namespace
}  // namespace troupe::openai
