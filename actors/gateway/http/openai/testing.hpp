#pragma once

#include "actors/gateway/http/openai/json_document.hpp"
#include "skillsets/sdk/skillset.hpp"

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// What the tests of the requests and the answers share.
namespace troupe::openai::testing_support {

/// `body` with some of its members in place of what it has.
inline json with(const char* body, std::initializer_list<std::pair<const char*, json>> members) {
  auto result = json::parse(body);
  for (const auto& [name, value] : members)
    result[name] = value;
  return result;
}

/// The error of a reader, as `CODE: cause`.
template <class Read>
std::string refusal_of(Read read, const json& body) {
  const auto request = read(body);
  EXPECT_FALSE(request) << body.dump().substr(0, 300);
  return request ? "" : std::string{to_string(request.error().code)} + ": " + request.error().cause;
}

template <class T>
T get(const parameter_map& parameters, std::string_view name) {
  const auto i = parameters.find(name);
  const auto* value = i == parameters.end() ? nullptr : std::get_if<T>(&i->second);
  EXPECT_TRUE(value) << name;
  return value ? *value : T{};
}

inline std::string text_of(const inference_request& request) {
  const auto& input = request.inputs.at(0);
  const auto texts = split_bytes(input.data.view(), 1);
  EXPECT_TRUE(texts);
  return texts ? std::string{texts->front()} : "";
}

/// The JSON of each event of a stream; `[DONE]` as a text.
inline std::vector<json> events_of(std::string_view stream) {
  std::vector<json> events;
  while (!stream.empty()) {
    const auto end = stream.find("\n\n");
    EXPECT_NE(end, stream.npos) << stream;
    if (end == stream.npos)
      return events;
    auto event = stream.substr(0, end);
    stream.remove_prefix(end + 2);
    if (event.starts_with(':'))
      continue;
    std::string type;
    if (event.starts_with("event: ")) {
      type = event.substr(7, event.find('\n') - 7);
      event.remove_prefix(event.find('\n') + 1);
    }
    EXPECT_TRUE(event.starts_with("data: ")) << event;
    const auto data = event.substr(6);
    events.push_back(data == "[DONE]" ? json("[DONE]") : json::parse(data));
    if (!type.empty()) {
      EXPECT_EQ(events.back()["type"], type);
    }
  }
  return events;
}

/// A response of the task "text generation".
inline inference_response text_response(const std::string& text, parameter_map parameters = {}) {
  std::string data;
  append_bytes(data, text);
  return {{tensor{"text_output", datatype::bytes, {1}, buffer::take(std::move(data))}}, std::move(parameters)};
}

/// The last one.
inline inference_response last_response(const std::string& text, const std::string& reason = "stop",
                                        std::int64_t prompt = 3, std::int64_t completion = 2, std::int64_t cached = 1) {
  return text_response(text, {{"finish_reason", reason},
                              {"prompt_tokens", prompt},
                              {"completion_tokens", completion},
                              {"cached_tokens", cached}});
}

}  // namespace troupe::openai::testing_support
