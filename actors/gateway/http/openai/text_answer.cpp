#include "actors/gateway/http/openai/text_answer.hpp"

#include "skillsets/sdk/tensor.hpp"

#include <algorithm>

namespace troupe::openai {
namespace {

error broken(const std::string& what) {
  return make_error(status_code::internal, "the model's answer " + what, "this is a mistake of its skillset");
}

const std::string* text_of(const parameter_map& parameters, std::string_view name) {
  const auto i = parameters.find(name);
  return i == parameters.end() ? nullptr : std::get_if<std::string>(&i->second);
}

std::int64_t count_of(const parameter_map& parameters, std::string_view name) {
  const auto i = parameters.find(name);
  if (i == parameters.end())
    return 0;
  if (const auto* count = std::get_if<std::uint64_t>(&i->second))
    return static_cast<std::int64_t>(*count);
  const auto* count = std::get_if<std::int64_t>(&i->second);
  return count ? *count : 0;
}

/// An array of objects in a parameter; an empty one where there is none.
expected<json> objects_of(const parameter_map& parameters, std::string_view name) {
  const auto* text = text_of(parameters, name);
  if (!text)
    return json::array();
  auto parsed = json::parse(*text, nullptr, false);
  const auto is_object = [](const json& each) { return each.is_object(); };
  if (!parsed.is_array() || !std::all_of(parsed.begin(), parsed.end(), is_object))
    return broken("has " + std::string{name} + " that are no JSON array of objects");
  return parsed;
}

/// A call whose beginning came earlier, or a new one.
json& call_at(json& calls, const json& index) {
  for (auto& call : calls)
    if (call["index"] == index)
      return call;
  calls.push_back(
      {{"index", index}, {"id", ""}, {"type", "function"}, {"function", {{"name", ""}, {"arguments", ""}}}});
  return calls.back();
}

void append(json& to, const json& from, const char* name) {
  if (const auto i = from.find(name); i != from.end() && i->is_string())
    to[name].get_ref<std::string&>() += i->get_ref<const std::string&>();
}

}  // namespace

expected<text_piece> read_piece(const inference_response& response) {
  text_piece piece;
  if (response.outputs.size() != 1 || response.outputs.front().type != datatype::bytes)
    return broken("has no text");
  const auto texts = split_bytes(response.outputs.front().data.view(), 1);
  if (!texts)
    return broken("has no text: " + texts.error().cause);
  piece.text = texts->front();
  if (const auto* reasoning = text_of(response.parameters, "reasoning"))
    piece.reasoning = *reasoning;
  auto calls = objects_of(response.parameters, "tool_calls");
  if (!calls)
    return calls.error();
  piece.tool_calls = *std::move(calls);
  auto logprobs = objects_of(response.parameters, "logprobs");
  if (!logprobs)
    return logprobs.error();
  piece.logprobs = *std::move(logprobs);
  if (const auto* reason = text_of(response.parameters, "finish_reason")) {
    piece.finish_reason = *reason;
    piece.usage =
        token_usage{count_of(response.parameters, "prompt_tokens"), count_of(response.parameters, "completion_tokens"),
                    count_of(response.parameters, "cached_tokens")};
  }
  return piece;
}

void text_choice::add(const text_piece& piece) {
  text += piece.text;
  reasoning += piece.reasoning;
  for (const auto& delta : piece.tool_calls) {
    auto& call = call_at(tool_calls, delta.value("index", json(0)));
    append(call, delta, "id");
    if (const auto function = delta.find("function"); function != delta.end() && function->is_object()) {
      append(call["function"], *function, "name");
      append(call["function"], *function, "arguments");
    }
  }
  logprobs.insert(logprobs.end(), piece.logprobs.begin(), piece.logprobs.end());
  if (!piece.finish_reason.empty())
    finish_reason = piece.finish_reason;
  if (piece.usage)
    usage = *piece.usage;
}

token_usage total_usage(std::span<const text_choice> choices, std::size_t choices_each) {
  token_usage total;
  for (std::size_t i = 0; i != choices.size(); ++i) {
    total.completion += choices[i].usage.completion;
    if (i % choices_each != 0)
      continue;
    total.prompt += choices[i].usage.prompt;
    total.cached += choices[i].usage.cached;
  }
  return total;
}

json describe_usage(const token_usage& usage) {
  return {{"prompt_tokens", usage.prompt},
          {"completion_tokens", usage.completion},
          {"total_tokens", usage.prompt + usage.completion},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached}}}};
}

}  // namespace troupe::openai
