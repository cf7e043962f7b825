#include "actors/gateway/http/openai/chat_format.hpp"

namespace troupe::openai {
namespace {

json token_logprob(const json& token) {
  return {{"token", token.value("token", "")},
          {"logprob", token.value("logprob", json(nullptr))},
          {"bytes", token.value("bytes", json(nullptr))}};
}

/// The tokens of the task, without their ids.
json describe_logprobs(const json& tokens) {
  auto content = json::array();
  for (const auto& token : tokens) {
    auto described = token_logprob(token);
    auto& top = described["top_logprobs"] = json::array();
    for (const auto& likely : token.value("top_logprobs", json::array()))
      top.push_back(token_logprob(likely));
    content.push_back(std::move(described));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

}  // namespace

chat_format::chat_format(answer_head head, std::size_t choices, bool logprobs, bool usage)
    : head_(std::move(head)), logprobs_(logprobs), usage_(usage), begun_(choices) {}

json chat_format::object(const char* kind) const {
  return {{"id", head_.id},
          {"object", kind},
          {"created", head_.created},
          {"model", head_.model},
          {"system_fingerprint", head_.fingerprint}};
}

json chat_format::whole(std::span<const text_choice> choices) {
  auto result = object("chat.completion");
  auto& all = result["choices"] = json::array();
  for (std::size_t i = 0; i != choices.size(); ++i)
    all.push_back(whole_choice(i, choices[i]));
  result["usage"] = describe_usage(total_usage(choices, choices.size()));
  return result;
}

json chat_format::whole_choice(std::size_t index, const text_choice& choice) const {
  json message{{"role", "assistant"}, {"content", choice.text}, {"refusal", nullptr}};
  if (!choice.reasoning.empty())
    message["reasoning_content"] = choice.reasoning;
  if (!choice.tool_calls.empty()) {
    if (choice.text.empty())
      message["content"] = nullptr;
    auto& calls = message["tool_calls"] = choice.tool_calls;
    for (auto& call : calls)
      call.erase("index");
  }
  return {{"index", index},
          {"message", std::move(message)},
          {"logprobs", logprobs_ ? describe_logprobs(choice.logprobs) : json(nullptr)},
          {"finish_reason", choice.finish_reason}};
}

void chat_format::add(std::size_t index, const text_piece& piece, std::string& events) {
  if (!begun_[index])
    append_chunk(index, {{"role", "assistant"}, {"content", ""}, {"refusal", nullptr}}, nullptr, nullptr, events);
  begun_[index] = true;
  if (!piece.reasoning.empty())
    append_chunk(index, {{"reasoning_content", piece.reasoning}}, nullptr, nullptr, events);
  if (!piece.text.empty() || !piece.logprobs.empty())
    append_chunk(index, {{"content", piece.text}}, logprobs_ ? describe_logprobs(piece.logprobs) : json(nullptr),
                 nullptr, events);
  if (!piece.tool_calls.empty())
    append_chunk(index, {{"tool_calls", piece.tool_calls}}, nullptr, nullptr, events);
  if (!piece.finish_reason.empty())
    append_chunk(index, json::object(), nullptr, piece.finish_reason, events);
}

void chat_format::append_chunk(std::size_t index, json delta, json logprobs, json finish_reason,
                               std::string& events) const {
  auto chunk = object("chat.completion.chunk");
  chunk["choices"] = json::array({{{"index", index},
                                   {"delta", std::move(delta)},
                                   {"logprobs", std::move(logprobs)},
                                   {"finish_reason", std::move(finish_reason)}}});
  if (usage_)
    chunk["usage"] = nullptr;
  append_event(events, chunk);
}

void chat_format::end(std::span<const text_choice> choices, std::string& events) {
  if (usage_) {
    auto chunk = object("chat.completion.chunk");
    chunk["choices"] = json::array();
    chunk["usage"] = describe_usage(total_usage(choices, choices.size()));
    append_event(events, chunk);
  }
  append_done(events);
}

}  // namespace troupe::openai
