#include "skillsets/text_generation/text_generation.hpp"

#include "skillsets/text_generation/generation_engine.hpp"
#include "skillsets/text_generation/gguf_embedding.hpp"
#include "skillsets/text_generation/llama_library.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace troupe {
namespace {

constexpr std::size_t usual_context = 8192;
constexpr double most_context = 1 << 20;

template <class T>
T option(const model_settings& settings, std::string_view name) {
  return std::get<T>(settings.options.find(name)->second);
}

std::size_t size_option(const model_settings& settings, std::string_view name) {
  return static_cast<std::size_t>(option<std::int64_t>(settings, name));
}

/// As many tokens as the model was made for, unless the settings say less.
expected<std::size_t> context_of(const model_settings& settings, const llama_model& model) {
  const auto made_for = static_cast<std::size_t>(std::max(llama_model_n_ctx_train(&model), 1));
  const auto wanted = size_option(settings, "context");
  if (wanted > made_for)
    return make_error(status_code::invalid_argument,
                      "option 'context' is " + std::to_string(wanted) + ", and the model was made for " +
                          std::to_string(made_for) + " tokens",
                      "set it to that at most, or to 0");
  return wanted != 0 ? wanted : std::min(made_for, usual_context);
}

expected<engine_settings> engine_of(const model_settings& settings, std::size_t context) {
  engine_settings result;
  result.parallel = size_option(settings, "parallel");
  result.kept = size_option(settings, "prefix_cache");
  result.chunk = size_option(settings, "prefill_chunk");
  result.step = std::chrono::milliseconds{option<std::int64_t>(settings, "step_ms")};
  result.exact = option<bool>(settings, "exact");
  result.threads = settings.threads;
  const auto least = result.exact ? context * result.parallel : context;
  const auto wanted = size_option(settings, "cache_tokens");
  if (wanted != 0 && wanted < least)
    return make_error(status_code::invalid_argument,
                      "option 'cache_tokens' is " + std::to_string(wanted) + ", and " +
                          (result.exact ? "exact texts" : "one text") + " may need " + std::to_string(least),
                      "set it to that at least, to 0, or context to less");
  result.cache_tokens = wanted != 0 ? wanted : std::max(least, usual_context);
  return result;
}

sampling_settings sampling_of(const model_settings& settings) {
  sampling_settings result;
  result.temperature = option<double>(settings, "temperature");
  result.top_p = option<double>(settings, "top_p");
  result.top_k = static_cast<std::int32_t>(option<std::int64_t>(settings, "top_k"));
  result.min_p = option<double>(settings, "min_p");
  result.repetition_penalty = option<double>(settings, "repetition_penalty");
  return result;
}

/// A model that writes.
class writing_model final : public loaded_model {
 public:
  writing_model(text_model model, const engine_settings& settings) : model_(std::move(model)), settings_(settings) {}

  const signature& describe() const override { return signature_; }

  expected<std::unique_ptr<instance>> make_instance() override {
    auto made = generation_engine::make(model_, settings_);
    if (!made)
      return made.error();
    return std::unique_ptr<instance>{*std::move(made)};
  }

  inference_request warm_up() const override {
    std::string text;
    append_bytes(text, "Once upon a time there was a");
    return {{tensor{"text_input", datatype::bytes, {1}, buffer::take(std::move(text))}},
            {{"max_tokens", std::int64_t{4}}, {"temperature", 0.0}}};
  }

  batch_policy batching() const override {
    return {.limits = {.items = static_cast<std::int64_t>(settings_.parallel)}, .cost = nullptr};
  }

 private:
  const text_model model_;
  const engine_settings settings_;
  const signature signature_{
      {{"text_input", datatype::bytes, {1}}}, {{"text_output", datatype::bytes, {1}}}, false, true};
};

/// A model that embeds.
class embedding_model final : public loaded_model {
 public:
  embedding_model(llama::model_ptr model, const embedding_settings& settings)
      : model_(std::move(model)), settings_(settings), signature_(embedding_signature(*model_)) {}

  const signature& describe() const override { return signature_; }

  expected<std::unique_ptr<instance>> make_instance() override { return make_embedding_instance(*model_, settings_); }

  batch_policy batching() const override {
    // From the bytes alone, as tokens are about four of them in European languages.
    return {.limits = {.items = 64, .units = static_cast<std::int64_t>(settings_.batch_tokens)},
            .cost = linear_cost{2, 4, static_cast<std::int64_t>(settings_.context)}};
  }

  inference_request warm_up() const override {
    std::string text;
    append_bytes(text, "a text");
    return {{tensor{"text", datatype::bytes, {1}, buffer::take(std::move(text))}}, {}};
  }

 private:
  const llama::model_ptr model_;
  const embedding_settings settings_;
  const signature signature_;
};

using loaded = expected<std::unique_ptr<loaded_model>>;

bool embeds(const model_settings& settings, const llama_model& model) {
  const auto task = option<std::string>(settings, "task");
  if (task != "auto")
    return task == "embedding";
  char architecture[64] = "";
  char value[16];
  llama_model_meta_val_str(&model, "general.architecture", architecture, sizeof architecture);
  return llama_model_meta_val_str(&model, (std::string{architecture} + ".pooling_type").c_str(), value, sizeof value) >=
         0;
}

loaded load_embedding(const model_settings& settings, llama::model_ptr model) {
  embedding_settings result;
  const auto pooling = option<std::string>(settings, "pooling");
  result.pooling = pooling == "mean"   ? LLAMA_POOLING_TYPE_MEAN
                   : pooling == "cls"  ? LLAMA_POOLING_TYPE_CLS
                   : pooling == "last" ? LLAMA_POOLING_TYPE_LAST
                                       : LLAMA_POOLING_TYPE_UNSPECIFIED;
  result.normalize = option<bool>(settings, "normalize");
  result.threads = settings.threads;
  const auto context = context_of(settings, *model);
  if (!context)
    return context.error();
  result.context = *context;
  result.batch_tokens = std::max(size_option(settings, "batch_tokens"), result.context);
  return std::unique_ptr<loaded_model>{std::make_unique<embedding_model>(std::move(model), result)};
}

loaded load_writing(const model_settings& settings, llama::model_ptr weights) {
  if (!llama_model_has_decoder(weights.get()) || llama_model_has_encoder(weights.get()) ||
      llama_model_is_diffusion(weights.get()))
    return make_error(status_code::invalid_argument, "this model doesn't write text from left to right",
                      "set the option task to embedding, if that is what it is for");
  text_model model;
  const auto context = context_of(settings, *weights);
  if (!context)
    return context.error();
  model.context = *context;
  const auto engine = engine_of(settings, *context);
  if (!engine)
    return engine.error();
  auto chats = chat_template::of(*weights);
  if (!chats)
    return chats.error();
  model.chats = *std::move(chats);
  model.vocabulary = llama_model_get_vocab(weights.get());
  model.control_words = llama::control_words(*model.vocabulary);
  model.ends = llama::end_tokens(*model.vocabulary);
  model.defaults = sampling_of(settings);
  model.weights = std::move(weights);
  return std::unique_ptr<loaded_model>{std::make_unique<writing_model>(std::move(model), *engine)};
}

class text_generation_skillset final : public skillset {
 public:
  std::string_view name() const override { return "text_generation"; }
  std::string_view platform() const override { return "llama.cpp"; }
  std::string_view version() const override { return TROUPE_VERSION; }

  std::vector<option_spec> options() const override {
    return {{"task", std::string{"auto"}, {"auto", "generation", "embedding"}},
            {"context", std::int64_t{0}, {}, 0, most_context},
            {"cache_tokens", std::int64_t{0}, {}, 0, most_context},
            {"parallel", std::int64_t{8}, {}, 1, 64},
            {"prefix_cache", std::int64_t{8}, {}, 0, 128},
            {"prefill_chunk", std::int64_t{128}, {}, 8, 2048},
            {"step_ms", std::int64_t{50}, {}, 1, 1000},
            {"exact", false, {}},
            {"temperature", 1.0, {}, 0, 10},
            {"top_p", 1.0, {}, 0.001, 1},
            {"top_k", std::int64_t{0}, {}, 0, 1000},
            {"min_p", 0.0, {}, 0, 1},
            {"repetition_penalty", 1.0, {}, 0.001, 10},
            {"pooling", std::string{"auto"}, {"auto", "mean", "cls", "last"}},
            {"normalize", true, {}},
            {"batch_tokens", std::int64_t{2048}, {}, 64, most_context}};
  }

  loaded load(const model_settings& settings, const cancel_token& token) override {
    auto model = llama::load(settings, token);
    if (!model)
      return model.error();
    return embeds(settings, **model) ? load_embedding(settings, *std::move(model))
                                     : load_writing(settings, *std::move(model));
  }

  expected<std::vector<runtime_device>> devices() override { return llama::devices(); }
};

}  // namespace

std::unique_ptr<skillset> make_text_generation_skillset() {
  return std::make_unique<text_generation_skillset>();
}

}  // namespace troupe
