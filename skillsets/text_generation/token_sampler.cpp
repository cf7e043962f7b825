#include "skillsets/text_generation/token_sampler.hpp"

#include <common.h>
#include <sampling.h>
#include <utf8.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <numeric>

namespace troupe {
namespace {

common_params_sampling parameters_of(const sampling_settings& settings) {
  common_params_sampling result;
  result.seed = settings.seed.value_or(LLAMA_DEFAULT_SEED);
  result.temp = static_cast<float>(settings.temperature);
  result.top_p = static_cast<float>(settings.top_p);
  result.top_k = settings.top_k;
  result.min_p = static_cast<float>(settings.min_p);
  result.penalty_freq = static_cast<float>(settings.frequency_penalty);
  result.penalty_present = static_cast<float>(settings.presence_penalty);
  result.penalty_repeat = static_cast<float>(settings.repetition_penalty);
  result.penalty_last_n = 1 << 15;  // all that was generated
  result.no_perf = true;
  // Each only where it changes something: every one of them looks at the whole vocabulary.
  result.samplers.clear();
  if (settings.frequency_penalty != 0 || settings.presence_penalty != 0 || settings.repetition_penalty != 1)
    result.samplers.push_back(COMMON_SAMPLER_TYPE_PENALTIES);
  if (settings.temperature == 0)
    result.top_k = 1;
  if (result.top_k > 0)
    result.samplers.push_back(COMMON_SAMPLER_TYPE_TOP_K);
  if (settings.top_p < 1)
    result.samplers.push_back(COMMON_SAMPLER_TYPE_TOP_P);
  if (settings.min_p > 0)
    result.samplers.push_back(COMMON_SAMPLER_TYPE_MIN_P);
  result.samplers.push_back(COMMON_SAMPLER_TYPE_TEMPERATURE);
  for (const auto& [token, bias] : settings.logit_bias)
    result.logit_bias.push_back({token, bias});
  return result;
}

/// A word of the vocabulary is one token then, and found as such; others are looked for in the text.
void add_triggers(const llama_vocab& vocabulary, const text_form& form, common_params_sampling& to) {
  for (const auto& word : form.preserved)
    if (const auto ids = llama::tokenize(vocabulary, word, false, true); ids.size() == 1)
      to.preserved_tokens.insert(ids.front());
  for (const auto& word : form.trigger_words) {
    const auto ids = llama::tokenize(vocabulary, word, false, true);
    if (ids.size() == 1 && to.preserved_tokens.contains(ids.front()))
      to.grammar_triggers.push_back({COMMON_GRAMMAR_TRIGGER_TYPE_TOKEN, word, ids.front()});
    else
      to.grammar_triggers.push_back({COMMON_GRAMMAR_TRIGGER_TYPE_WORD, word});
  }
  for (const auto& pattern : form.trigger_patterns)
    to.grammar_triggers.push_back({COMMON_GRAMMAR_TRIGGER_TYPE_PATTERN, pattern});
}

/// Asked first, because the samplers of `common` leak where a grammar can't be parsed.
bool is_grammar(const llama_vocab& vocabulary, const std::string& text) {
  const std::unique_ptr<llama_sampler, void (*)(llama_sampler*)> parsed{
      llama_sampler_init_grammar(&vocabulary, text.c_str(), "root"), llama_sampler_free};
  return parsed != nullptr;
}

json described(const llama_vocab& vocabulary, llama_token token, double logprob) {
  const auto bytes = llama::piece(vocabulary, token, true);
  std::string text;
  utf8::replace_invalid(bytes.begin(), bytes.end(), std::back_inserter(text));
  auto values = json::array();
  for (const char byte : bytes)
    values.push_back(static_cast<unsigned char>(byte));
  return {{"token", text}, {"id", token}, {"logprob", logprob}, {"bytes", values}};
}

}  // namespace

token_sampler::token_sampler(const llama_model& model, std::span<const llama_token> never)
    : vocabulary_(*llama_model_get_vocab(&model)),
      never_(never.begin(), never.end()),
      chain_(nullptr, common_sampler_free) {}

token_sampler::~token_sampler() = default;

expected<std::unique_ptr<token_sampler>> token_sampler::make(const llama_model& model,
                                                             const sampling_settings& settings, const text_form& form,
                                                             std::span<const llama_token> never) try {
  const auto& vocabulary = *llama_model_get_vocab(&model);
  for (const auto& [token, bias] : settings.logit_bias)
    if (token >= llama_vocab_n_tokens(&vocabulary))
      return make_error(status_code::invalid_argument, "parameter 'logit_bias' names token " + std::to_string(token) +
                                                           ", but the model has " +
                                                           std::to_string(llama_vocab_n_tokens(&vocabulary)));
  auto parameters = parameters_of(settings);
  const bool plain = settings.temperature == 0 && form.empty() && parameters.logit_bias.empty() &&
                     parameters.samplers.front() != COMMON_SAMPLER_TYPE_PENALTIES;
  std::unique_ptr<token_sampler> result{new token_sampler{model, never}};
  if (plain)
    return result;
  for (const auto token : never)
    parameters.logit_bias.push_back({token, -INFINITY});
  const llama::listener complaining;
  if (!form.empty() && !is_grammar(vocabulary, form.grammar))
    return make_error(status_code::invalid_argument,
                      "parameter 'grammar' or 'json_schema' can't be used" + complaining.last(),
                      "give fewer alternatives and repetitions, or correct the grammar");
  if (!form.empty()) {
    parameters.grammar = {form.begun.empty() ? COMMON_GRAMMAR_TYPE_USER : COMMON_GRAMMAR_TYPE_TOOL_CALLS, form.grammar};
    parameters.grammar_lazy = form.lazy;
    parameters.generation_prompt = form.begun;
    add_triggers(vocabulary, form, parameters);
  }
  result->chain_.reset(common_sampler_init(&model, parameters));
  return result;
} catch (const std::exception& e) {
  return make_error(status_code::invalid_argument, std::string{"the text can't be held to its form: "} + e.what(),
                    "correct the grammar, or give a simpler one");
}

llama_token token_sampler::sample(llama_context& context, std::int32_t index) {
  if (!chain_)
    return likeliest(
        {llama_get_logits_ith(&context, index), static_cast<std::size_t>(llama_vocab_n_tokens(&vocabulary_))});
  const auto token = common_sampler_sample(chain_.get(), &context, index);
  common_sampler_accept(chain_.get(), token, true);
  return token;
}

llama_token token_sampler::likeliest(std::span<const float> logits) const {
  const auto may_not = [&](llama_token token) {
    return std::find(never_.begin(), never_.end(), token) != never_.end();
  };
  const auto first = static_cast<llama_token>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  if (!may_not(first))
    return first;
  llama_token best = 0;
  auto most = -std::numeric_limits<float>::infinity();
  for (llama_token token = 0; token != llama_vocab_n_tokens(&vocabulary_); ++token)
    if (const auto logit = logits[static_cast<std::size_t>(token)]; logit > most && !may_not(token)) {
      best = token;
      most = logit;
    }
  return best;
}

json token_logprobs(const llama_vocab& vocabulary, std::span<const float> logits, llama_token token,
                    std::int32_t most) {
  const auto highest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const auto logit : logits)
    sum += std::exp(static_cast<double>(logit - highest));
  const auto logprob = [&](llama_token of) {
    return static_cast<double>(logits[static_cast<std::size_t>(of)] - highest) - std::log(sum);
  };
  auto result = described(vocabulary, token, logprob(token));
  std::vector<llama_token> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto end = order.begin() + std::min<std::ptrdiff_t>(most, static_cast<std::ptrdiff_t>(order.size()));
  std::partial_sort(order.begin(), end, order.end(), [&](llama_token a, llama_token b) {
    return logits[static_cast<std::size_t>(a)] > logits[static_cast<std::size_t>(b)];
  });
  auto top = json::array();
  for (auto i = order.begin(); i != end; ++i)
    top.push_back(described(vocabulary, *i, logprob(*i)));
  result["top_logprobs"] = std::move(top);
  return result;
}

}  // namespace troupe
