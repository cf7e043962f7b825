#pragma once

#include "actors/concurrency/error.hpp"
#include "skillsets/sdk/skillset.hpp"
#include "skillsets/text_generation/chat_template.hpp"
#include "skillsets/text_generation/generation_request.hpp"
#include "skillsets/text_generation/llama_library.hpp"
#include "skillsets/text_generation/reply_reader.hpp"
#include "skillsets/text_generation/text_stream.hpp"
#include "skillsets/text_generation/token_sampler.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace troupe {

/// What the texts of a model have in common.
struct text_model {
  llama::model_ptr weights;
  const llama_vocab* vocabulary = nullptr;
  std::unique_ptr<chat_template> chats;  ///< null where the model has no template
  sampling_settings defaults;
  std::size_t context = 0;                 ///< tokens that a text has at most, its prompt included
  std::vector<std::string> control_words;  ///< such as `<|im_start|>`
  llama::tokens ends;                      ///< the tokens that end a text
};

/// One text on its way: its prompt, the tokens chosen so far, and the answers that they become.
class generation {
 public:
  /// Reads a request. OUT_OF_RANGE where the prompt fills the model's context; INVALID_ARGUMENT.
  static expected<std::unique_ptr<generation>> begin(const text_model& model, work_item& item);

  work_item& item() const noexcept { return item_; }
  std::uint32_t priority() const noexcept { return request_.priority; }

  /// The prompt, and what was chosen after it.
  std::span<const llama_token> tokens() const noexcept { return tokens_; }
  std::size_t chosen() const noexcept { return tokens_.size() - prompt_; }

  /// Whether nothing is to be computed: it is only counted.
  bool counts_only() const noexcept { return limit_ == 0; }

  /// How many of the prompt's tokens were there already.
  void set_reused(std::size_t tokens) noexcept { reused_ = tokens; }

  /// Chooses the next token by output `index`, and answers what comes of it; false when that was the end of the text.
  bool advance(llama_context& context, std::int32_t index);

  /// The last word.
  void finish(std::string_view reason);

 private:
  generation(const text_model& model, work_item& item, generation_request request);

  expected<void> read_prompt();
  expected<void> read_tokens();
  expected<void> read_text(std::string_view text, bool control);
  expected<void> read_chat();
  void note_logprobs(llama_context& context, std::int32_t index, llama_token token, std::size_t bytes);
  void give(std::string_view text, bool whole);
  void add(reply_delta delta);
  std::string text_of(llama_token token) const;
  inference_response take_response(std::size_t bytes);
  json take_logprobs(std::size_t bytes);

  const text_model& model_;
  work_item& item_;
  generation_request request_;
  llama::tokens tokens_;
  std::size_t prompt_ = 0;
  std::size_t limit_ = 0;  // of tokens to choose
  std::size_t reused_ = 0;
  text_form form_;
  std::unique_ptr<token_sampler> sampler_;
  std::optional<text_stream> text_;
  std::unique_ptr<reply_reader> reader_ = std::make_unique<plain_reader>();

  // What was not answered yet.
  reply_delta reply_;
  json logprobs_ = json::array();
  std::vector<std::size_t> logprob_ends_;  // bytes of text up to the end of each token of logprobs_
  std::size_t bytes_ = 0;                  // of all tokens chosen
};

}  // namespace troupe
