#pragma once

#include "actors/concurrency/error.hpp"
#include "skillsets/text_generation/generation_request.hpp"
#include "skillsets/text_generation/json_text.hpp"
#include "skillsets/text_generation/llama_library.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

struct common_sampler;

namespace troupe {

/// What a text is held to: a grammar in GBNF, from its beginning or from the first of the triggers on.
struct text_form {
  std::string grammar;
  bool lazy = false;
  std::vector<std::string> trigger_words = {};
  std::vector<std::string> trigger_patterns = {};  ///< of the whole text so far
  std::vector<std::string> preserved = {};         ///< control words that triggers consist of
  std::string begun = {};                          ///< what of the grammar the prompt has already

  bool empty() const noexcept { return grammar.empty(); }
};

/// Chooses the tokens of one text.
class token_sampler {
 public:
  /// Tokens of `never` are not chosen. INVALID_ARGUMENT for a grammar that is none, and a bias of a token that the
  /// model doesn't have.
  static expected<std::unique_ptr<token_sampler>> make(const llama_model& model, const sampling_settings& settings,
                                                       const text_form& form, std::span<const llama_token> never = {});
  ~token_sampler();

  /// Chooses the next token by what the model has computed for output `index`.
  llama_token sample(llama_context& context, std::int32_t index);

 private:
  token_sampler(const llama_model& model, std::span<const llama_token> never);

  llama_token likeliest(std::span<const float> logits) const;

  const llama_vocab& vocabulary_;
  const llama::tokens never_;
  std::unique_ptr<common_sampler, void (*)(common_sampler*)> chain_;  // null where it is always the likeliest token
};

/// The log probability of a token and of the `most` likeliest ones, before any sampling setting, as OpenAI's API says
/// it: token, id, logprob, bytes, top_logprobs.
json token_logprobs(const llama_vocab& vocabulary, std::span<const float> logits, llama_token token, std::int32_t most);

}  // namespace troupe
