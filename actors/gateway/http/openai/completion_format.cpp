#include "actors/gateway/http/openai/completion_format.hpp"

#include <algorithm>

namespace troupe::openai {
namespace {

/// How many characters begin in a token, which may be a part of one.
std::size_t characters_of(const json& token) {
  const auto begins = [](int byte) { return (byte & 0xc0) != 0x80; };
  if (const auto bytes = token.find("bytes"); bytes != token.end() && bytes->is_array())
    return static_cast<std::size_t>(std::count_if(
        bytes->begin(), bytes->end(), [&](const json& byte) { return byte.is_number() && begins(byte.get<int>()); }));
  const auto text = token.value("token", "");
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), begins));
}

}  // namespace

completion_format::completion_format(answer_head head, std::size_t prompts, std::size_t choices, bool logprobs,
                                     bool usage)
    : head_(std::move(head)), choices_(choices), logprobs_(logprobs), usage_(usage), offsets_(prompts * choices) {}

json completion_format::object() const {
  return {{"id", head_.id},
          {"object", "text_completion"},
          {"created", head_.created},
          {"model", head_.model},
          {"system_fingerprint", head_.fingerprint}};
}

/// As completions have had them from their beginning; `offset` is that of the first token in the text, and then that of
/// what follows.
json completion_format::describe_logprobs(const json& tokens, std::size_t& offset) const {
  if (!logprobs_)
    return nullptr;
  auto texts = json::array(), values = json::array(), top = json::array(), offsets = json::array();
  for (const auto& token : tokens) {
    texts.push_back(token.value("token", ""));
    values.push_back(token.value("logprob", json(nullptr)));
    auto likely = json::object();
    for (const auto& each : token.value("top_logprobs", json::array()))
      likely[each.value("token", "")] = each.value("logprob", json(nullptr));
    top.push_back(std::move(likely));
    offsets.push_back(offset);
    offset += characters_of(token);
  }
  return {{"tokens", std::move(texts)},
          {"token_logprobs", std::move(values)},
          {"top_logprobs", std::move(top)},
          {"text_offset", std::move(offsets)}};
}

json completion_format::whole(std::span<const text_choice> choices) {
  auto result = object();
  auto& all = result["choices"] = json::array();
  for (std::size_t i = 0; i != choices.size(); ++i)
    all.push_back({{"index", i},
                   {"text", choices[i].text},
                   {"logprobs", describe_logprobs(choices[i].logprobs, offsets_[i])},
                   {"finish_reason", choices[i].finish_reason}});
  result["usage"] = describe_usage(total_usage(choices, choices_));
  return result;
}

void completion_format::add(std::size_t index, const text_piece& piece, std::string& events) {
  if (piece.text.empty() && piece.logprobs.empty() && piece.finish_reason.empty())
    return;
  auto chunk = object();
  chunk["choices"] =
      json::array({{{"index", index},
                    {"text", piece.text},
                    {"logprobs", describe_logprobs(piece.logprobs, offsets_[index])},
                    {"finish_reason", piece.finish_reason.empty() ? json(nullptr) : json(piece.finish_reason)}}});
  if (usage_)
    chunk["usage"] = nullptr;
  append_event(events, chunk);
}

void completion_format::end(std::span<const text_choice> choices, std::string& events) {
  if (usage_) {
    auto chunk = object();
    chunk["choices"] = json::array();
    chunk["usage"] = describe_usage(total_usage(choices, choices_));
    append_event(events, chunk);
  }
  append_done(events);
}

}  // namespace troupe::openai
