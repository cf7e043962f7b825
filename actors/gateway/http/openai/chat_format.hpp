#pragma once

#include "actors/gateway/http/openai/text_format.hpp"

#include <vector>

namespace troupe::openai {

/// Chats: an object `chat.completion`, or chunks of one. A choice begins with its role, and ends with its
/// finish_reason.
class chat_format final : public text_format {
 public:
  /// With `logprobs` where they were asked for, and with `usage` at the end of a stream.
  chat_format(answer_head head, std::size_t choices, bool logprobs, bool usage);

  json whole(std::span<const text_choice> choices) override;
  void add(std::size_t index, const text_piece& piece, std::string& events) override;
  void end(std::span<const text_choice> choices, std::string& events) override;
  void fail(const api_error& why, std::string& events) override { append_error(events, why); }

 private:
  json object(const char* kind) const;
  json whole_choice(std::size_t index, const text_choice& choice) const;
  void append_chunk(std::size_t index, json delta, json logprobs, json finish_reason, std::string& events) const;

  const answer_head head_;
  const bool logprobs_;
  const bool usage_;
  std::vector<bool> begun_;  // by choice
};

}  // namespace troupe::openai
