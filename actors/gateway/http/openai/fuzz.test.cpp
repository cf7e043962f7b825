#include "actors/gateway/http/openai/chat_request.hpp"
#include "actors/gateway/http/openai/completion_request.hpp"
#include "actors/gateway/http/openai/embedding_request.hpp"
#include "actors/gateway/http/openai/response_request.hpp"
#include "actors/gateway/http/openai/testing.hpp"
#include "skillsets/sdk/validate.hpp"

#include <random>

namespace troupe::openai {
namespace {

const char* const good_bodies[] = {
    R"({"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"a"}]},
        {"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f",
        "arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"7"}],"temperature":0.5,"top_p":0.9,"n":2,
        "seed":7,"stop":["a","b"],"logit_bias":{"5":1},"logprobs":true,"top_logprobs":3,"stream":true,
        "stream_options":{"include_usage":true},"tools":[{"type":"function","function":{"name":"f","parameters":
        {"type":"object"}}}],"tool_choice":{"type":"function","function":{"name":"f"}},"response_format":
        {"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object","properties":{"a":{"type":"string"}}}}}})",
    R"({"model":"m","prompt":["a","b"],"max_tokens":5,"echo":true,"n":3,"best_of":3,"user":"u","stop":"x","top_k":5})",
    R"({"model":"m","prompt":[[1,2],[3]],"logprobs":2,"suffix":null,"grammar":"root ::= \"a\""})",
    R"({"model":"m","input":["a","\u00fc\ud83c\udfad"],"encoding_format":"base64","dimensions":3,"truncate":true})",
    R"({"model":"m","input":[{"role":"user","content":"a"},{"type":"function_call","call_id":"c","name":"f",
        "arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"7"}],"instructions":"i","text":
        {"format":{"type":"json_object"}},"tools":[{"type":"function","name":"f"}],"include":
        ["message.output_text.logprobs"],"metadata":{"a":"b"},"max_output_tokens":9,"store":false})"};

using generator = std::mt19937_64;

std::size_t below(generator& random, std::size_t bound) {
  return std::uniform_int_distribution<std::size_t>{0, bound - 1}(random);
}

/// Changes some bytes: what a broken client or a broken line sends.
void mutate_bytes(std::string& body, generator& random) {
  for (auto times = 1 + below(random, 4); times > 0 && !body.empty(); --times) {
    const auto at = below(random, body.size());
    switch (below(random, 4)) {
      case 0:
        body[at] = static_cast<char>(below(random, 256));
        break;
      case 1:
        body.erase(at, 1 + below(random, 20));
        break;
      case 2:
        body.insert(at, body.substr(below(random, body.size()), below(random, 40)));
        break;
      default:
        body.resize(at);
    }
  }
}

json any_value(generator& random) {
  switch (below(random, 14)) {
    case 0:
      return nullptr;
    case 1:
      return true;
    case 2:
      return -1;
    case 3:
      return UINT64_MAX;
    case 4:
      return 1e300;
    case 5:
      return "";
    case 6:
      return "NaN";
    case 7:
      return json::array();
    case 8:
      return json::object();
    case 9:
      return json(300, "x");
    case 10:
      return std::string(2000, 'x');
    case 11:
      return json::array({1, "a", nullptr});
    case 12:
      return {{"type", "text"}};
    default:
      return static_cast<std::int64_t>(random());
  }
}

/// Puts something else in place of one of the values, wherever it is.
void mutate_value(json& document, generator& random) {
  auto* at = &document;
  while (at->is_structured() && !at->empty() && (at == &document || below(random, 3) > 0)) {
    auto i = at->begin();
    std::advance(i, static_cast<std::ptrdiff_t>(below(random, at->size())));
    at = &*i;
  }
  *at = any_value(random);
}

signature of_one(const char* input, std::vector<std::int64_t> shape, bool batches) {
  return {{{input, datatype::bytes, std::move(shape)}}, {}, batches, !batches};
}

void expect_sound(const error& why) {
  EXPECT_TRUE(why.code == status_code::invalid_argument || why.code == status_code::unimplemented) << to_string(why);
  const auto told = to_api_error(why);
  EXPECT_EQ(told.status, 400) << to_string(why);
  EXPECT_LT(told.message.size(), 1000u);
  EXPECT_FALSE(write_document(told.body()).empty());
}

template <class Request>
void expect_sound(const expected<Request>& read) {
  if (!read)
    return expect_sound(read.error());
  if constexpr (std::is_base_of_v<text_request, Request>) {
    ASSERT_GE(read->size(), 1u);
    ASSERT_LE(read->size(), static_cast<std::size_t>(most_choices));
    auto last = read->inference(read->size() - 1);
    EXPECT_TRUE(validate_inputs(last.inputs, of_one("text_input", {1}, false), 1));
  } else {
    auto all = read->inference(0, read->texts.size());
    EXPECT_TRUE(validate_inputs(all.inputs, of_one("text", {-1}, true), most_texts));
  }
}

void read_by_all(const std::string& body) {
  const auto document = read_document(body);
  if (!document)
    return expect_sound(document.error());
  expect_sound(read_chat_request(*document));
  expect_sound(read_completion_request(*document));
  expect_sound(read_embedding_request(*document));
  expect_sound(read_response_request(*document));
}

TEST(fuzz, readers_take_or_refuse_whatever_comes) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  generator random{seed};
  for (int i = 0; i != 10'000 && !HasFailure(); ++i) {
    std::string body = good_bodies[below(random, std::size(good_bodies))];
    if (i % 2 == 0) {
      mutate_bytes(body, random);
    } else {
      auto document = json::parse(body);
      for (auto times = 1 + below(random, 3); times > 0; --times)
        mutate_value(document, random);
      body = document.dump();
    }
    SCOPED_TRACE(body.substr(0, 2000));
    read_by_all(body);
  }
}

TEST(fuzz, what_is_changed_was_good_before) {
  int taken = 0;
  for (const auto* body : good_bodies) {
    const auto document = read_document(body);
    ASSERT_TRUE(document) << body;
    taken += read_chat_request(*document).has_value() + read_completion_request(*document).has_value() +
             read_embedding_request(*document).has_value() + read_response_request(*document).has_value();
  }
  EXPECT_EQ(taken, 5) << "each by the endpoint that it is for";
}

}  // namespace
}  // namespace troupe::openai
