#pragma once

#include "actors/concurrency/error.hpp"
#include "actors/gateway/http/openai/json_document.hpp"
#include "skillsets/sdk/skillset.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace troupe::openai {

/// What a request cost, in tokens.
struct token_usage {
  std::int64_t prompt = 0;
  std::int64_t completion = 0;
  std::int64_t cached = 0;  ///< of the prompt: computed for an earlier request
};

/// What one response of the task "text generation" brings.
struct text_piece {
  std::string text;
  std::string reasoning;
  json tool_calls = json::array();   ///< deltas
  json logprobs = json::array();     ///< of its tokens, as the task has them
  std::string finish_reason;         ///< of the last piece only
  std::optional<token_usage> usage;  ///< of the last piece
};

/// Reads a response. INTERNAL when it isn't what the task promises: the skillset's mistake.
expected<text_piece> read_piece(const inference_response& response);

/// All that has come of a choice's answer.
struct text_choice {
  std::string text;
  std::string reasoning;
  json tool_calls = json::array();  ///< whole ones
  json logprobs = json::array();
  std::string finish_reason;  ///< empty: it goes on
  token_usage usage;

  void add(const text_piece& piece);
};

/// What the choices of a request cost together. The choices of a prompt share it, so that it counts once.
token_usage total_usage(std::span<const text_choice> choices, std::size_t choices_each);

/// `{"prompt_tokens","completion_tokens","total_tokens","prompt_tokens_details"}`.
json describe_usage(const token_usage& usage);

}  // namespace troupe::openai
