#pragma once

#include "actors/gateway/http/openai/text_format.hpp"

#include <vector>

namespace troupe::openai {

/// Completions: an object `text_completion`, or several of them with a piece of one choice each.
class completion_format final : public text_format {
 public:
  /// For `prompts` prompts of `choices` choices each.
  completion_format(answer_head head, std::size_t prompts, std::size_t choices, bool logprobs, bool usage);

  json whole(std::span<const text_choice> choices) override;
  void add(std::size_t index, const text_piece& piece, std::string& events) override;
  void end(std::span<const text_choice> choices, std::string& events) override;
  void fail(const api_error& why, std::string& events) override { append_error(events, why); }

 private:
  json object() const;
  json describe_logprobs(const json& tokens, std::size_t& offset) const;

  const answer_head head_;
  const std::size_t choices_;
  const bool logprobs_;
  const bool usage_;
  std::vector<std::size_t> offsets_;  // by choice: the characters so far
};

}  // namespace troupe::openai
