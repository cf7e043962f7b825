#pragma once

#include "actors/gateway/http/openai/text_format.hpp"

#include <cstddef>
#include <map>
#include <optional>

namespace troupe::openai {

/// Responses (https://platform.openai.com/docs/api-reference/responses-streaming): an object `response` whose output is
/// a list of items: reasoning, messages and function calls, in the order in which they began; or the events by which it
/// comes about. Calls that the model makes at once are open at the same time, and no text comes in between.
class response_format final : public text_format {
 public:
  /// `repeated`: what of the request every answer repeats.
  response_format(answer_head head, json repeated, bool logprobs);

  json whole(std::span<const text_choice> choices) override;
  void begin(std::string& events) override;
  void add(std::size_t index, const text_piece& piece, std::string& events) override;
  void end(std::span<const text_choice> choices, std::string& events) override;
  void fail(const api_error& why, std::string& events) override;

 private:
  json response(const std::string& status) const;
  void finish(const text_choice& choice, std::string& events);

  void append(std::string& events, const std::string& type, json data);
  std::size_t open(json item, std::string& events);
  void open_text(bool message, std::string& events);
  void add_text(const text_piece& piece, std::string& events);
  void add_reasoning(const std::string& text, std::string& events);
  void add_call(const json& delta, std::string& events);
  void close_part(std::size_t item, std::string& events);
  void close_item(std::size_t item, std::string& events);
  void close_text(std::string& events);
  void close_calls(std::string& events);
  json place_of(std::size_t item) const;

  const answer_head head_;
  const json repeated_;
  const bool logprobs_;
  json output_ = json::array();
  std::string status_;
  json incomplete_ = nullptr;
  json usage_ = nullptr;
  std::int64_t next_number_ = 0;
  std::optional<std::size_t> text_;            // the item with a message, or with reasoning, that is open
  std::map<std::int64_t, std::size_t> calls_;  // the items of calls that are open, by their index
};

}  // namespace troupe::openai
