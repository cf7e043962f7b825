#include "skillsets/text_generation/gguf_embedding.hpp"

#include "skillsets/text_generation/json_text.hpp"

#include <utf8.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <functional>
#include <iterator>
#include <numeric>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

namespace troupe {
namespace {

constexpr std::size_t texts_at_once = 64;

/// More than any vocabulary has: what lies behind that many would be cut off anyway.
constexpr std::size_t most_bytes_per_token = 256;

/// A text of some request.
struct piece_of_work {
  std::size_t job;
  std::size_t row;  // of the job's texts
  llama::tokens tokens;
};

/// A request on its way to its vectors.
struct embedding_job {
  work_item* item;
  std::size_t left;  // texts without their vectors
  std::int64_t tokens = 0;
  std::int64_t truncated = 0;
  std::vector<float> vectors = {};
};

class embedding_instance final : public instance {
 public:
  embedding_instance(const llama_model& model, const embedding_settings& settings, llama::context_ptr context)
      : vocabulary_(*llama_model_get_vocab(&model)),
        settings_(settings),
        dimension_(static_cast<std::size_t>(llama_model_n_embd_out(&model))),
        team_(settings.threads),
        context_(std::move(context)),
        batch_(llama_batch_init(static_cast<std::int32_t>(settings.batch_tokens), 0, 1)) {
    team_.attach_to(*context_);
    llama_set_abort_callback(
        context_.get(),
        [](void* flag) { return static_cast<std::atomic<bool>*>(flag)->load(std::memory_order_relaxed); }, &abort_);
  }

  ~embedding_instance() override { llama_batch_free(batch_); }

  expected<void> run(std::span<work_item* const> batch, const cancel_token& token) override {
    std::vector<embedding_job> jobs;
    std::vector<piece_of_work> texts;
    for (auto* item : batch)
      if (auto read = add(*item, jobs, texts); !read)
        item->respond(read.error());
    for (auto& job : jobs)
      respond_when_done(job);
    // Texts of a length go together.
    std::stable_sort(texts.begin(), texts.end(),
                     [](const auto& a, const auto& b) { return a.tokens.size() < b.tokens.size(); });
    const std::stop_callback<std::function<void()>> on_stop{token.stop(), [this] { abort_ = true; }};
    abort_ = token.cancelled();
    for (std::size_t from = 0; from != texts.size();) {
      if (token.cancelled())
        return token.reason();
      const auto to = end_of_batch(texts, from);
      if (auto done = embed(std::span{texts}.subspan(from, to - from), jobs, token); !done)
        return done;
      from = to;
    }
    return {};
  }

  void measure(std::span<double> values) const noexcept override {
    values[0] = static_cast<double>(tokens_);
    values[1] = static_cast<double>(texts_);
    values[2] = static_cast<double>(truncated_);
  }

 private:
  expected<void> add(work_item& item, std::vector<embedding_job>& jobs, std::vector<piece_of_work>& texts) {
    const auto& input = item.request().inputs.front();
    const auto elements = split_bytes(input.data.view(), input.shape.front());
    if (!elements)
      return elements.error();
    bool ids = false;
    for (const auto& [name, value] : item.request().parameters) {
      const auto* text = std::get_if<std::string>(&value);
      if (name != "prompt_format" || !text || (*text != "text" && *text != "tokens"))
        return make_error(status_code::invalid_argument,
                          "parameter '" + shortened(name, 64) + "' is unknown, or has a wrong value",
                          "there is prompt_format, which is text or tokens");
      ids = *text == "tokens";
    }
    embedding_job job{&item, elements->size()};
    std::vector<piece_of_work> added;
    for (const auto element : *elements) {
      auto tokens = ids ? read_ids(element) : tokenize(element);
      if (!tokens)
        return make_error(tokens.error().code, "text " + std::to_string(added.size()) + " " + tokens.error().cause,
                          tokens.error().remedy);
      if (tokens->size() > settings_.context) {
        cut(*tokens);
        ++job.truncated;
      }
      job.tokens += static_cast<std::int64_t>(tokens->size());
      added.push_back({jobs.size(), added.size(), *std::move(tokens)});
    }
    tokens_ += static_cast<std::uint64_t>(job.tokens);
    texts_ += added.size();
    truncated_ += static_cast<std::uint64_t>(job.truncated);
    job.vectors.resize(added.size() * dimension_);
    jobs.push_back(std::move(job));
    std::move(added.begin(), added.end(), std::back_inserter(texts));
    return {};
  }

  expected<llama::tokens> tokenize(std::string_view text) const {
    if (utf8::find_invalid(text.begin(), text.end()) != text.end())
      return make_error(status_code::invalid_argument, "is not UTF-8");
    auto end = std::min(text.size(), settings_.context * most_bytes_per_token);
    while (end != text.size() && utf8::internal::is_trail(text[end]))
      --end;
    auto tokens = llama::tokenize(vocabulary_, text.substr(0, end), true, false);
    if (tokens.empty())
      return make_error(status_code::invalid_argument, "has no tokens for this model", "send longer texts");
    return tokens;
  }

  expected<llama::tokens> read_ids(std::string_view text) const {
    const auto ids = parse_json(text);
    if (!ids || !ids->is_array() || ids->empty())
      return make_error(status_code::invalid_argument, "is no JSON array of token ids");
    llama::tokens tokens;
    for (const auto& id : *ids) {
      if (!id.is_number_unsigned() ||
          id.get<std::uint64_t>() >= static_cast<std::uint64_t>(llama_vocab_n_tokens(&vocabulary_)))
        return make_error(status_code::invalid_argument,
                          "has " + shortened(id.dump(), 32) + " where a token id is due");
      tokens.push_back(id.get<llama_token>());
    }
    return tokens;
  }

  /// Cuts off what is more than a text may have. The mark that ends every text stays at its end.
  void cut(llama::tokens& tokens) const {
    const auto last = tokens.back();
    tokens.resize(settings_.context);
    if ((llama_vocab_get_attr(&vocabulary_, last) & LLAMA_TOKEN_ATTR_CONTROL) != 0)
      tokens.back() = last;
  }

  std::size_t end_of_batch(const std::vector<piece_of_work>& texts, std::size_t from) const {
    std::size_t tokens = 0;
    auto to = from;
    while (to != texts.size() && to - from < texts_at_once &&
           tokens + texts[to].tokens.size() <= settings_.batch_tokens)
      tokens += texts[to++].tokens.size();
    return to;
  }

  expected<void> embed(std::span<const piece_of_work> texts, std::vector<embedding_job>& jobs,
                       const cancel_token& token) {
    batch_.n_tokens = 0;
    for (std::size_t i = 0; i != texts.size(); ++i)
      for (std::size_t j = 0; j != texts[i].tokens.size(); ++j)
        append(texts[i].tokens[j], j, i);
    auto* memory = llama_get_memory(context_.get());
    if (memory)
      llama_memory_clear(memory, false);
    const auto outcome = memory ? llama_decode(context_.get(), batch_) : llama_encode(context_.get(), batch_);
    if (token.cancelled())
      return token.reason();
    if (outcome != 0)
      return make_error(status_code::internal, "llama.cpp can't compute: " + std::to_string(outcome));
    for (std::size_t i = 0; i != texts.size(); ++i)
      put(texts[i], llama_get_embeddings_seq(context_.get(), static_cast<llama_seq_id>(i)), jobs[texts[i].job]);
    return {};
  }

  void append(llama_token token, std::size_t position, std::size_t sequence) {
    const auto at = batch_.n_tokens++;
    batch_.token[at] = token;
    batch_.pos[at] = static_cast<llama_pos>(position);
    batch_.n_seq_id[at] = 1;
    batch_.seq_id[at][0] = static_cast<llama_seq_id>(sequence);
    batch_.logits[at] = 1;
  }

  void put(const piece_of_work& text, const float* vector, embedding_job& into) {
    const std::span row{into.vectors.data() + text.row * dimension_, dimension_};
    const double length =
        settings_.normalize ? std::sqrt(std::inner_product(vector, vector + dimension_, vector, 0.0)) : 1;
    std::transform(vector, vector + dimension_, row.begin(),
                   [&](float each) { return length > 0 ? static_cast<float>(each / length) : 0; });
    --into.left;
    respond_when_done(into);
  }

  void respond_when_done(embedding_job& job) const {
    if (job.left != 0)
      return;
    inference_response response;
    const auto rows = static_cast<std::int64_t>(job.vectors.size() / dimension_);
    response.outputs.push_back({"embedding",
                                datatype::fp32,
                                {rows, static_cast<std::int64_t>(dimension_)},
                                buffer::take(std::move(job.vectors))});
    response.parameters.emplace("prompt_tokens", job.tokens);
    response.parameters.emplace("truncated_texts", job.truncated);
    job.item->respond(std::move(response));
  }

  const llama_vocab& vocabulary_;
  const embedding_settings settings_;
  const std::size_t dimension_;
  llama::thread_team team_;  // before the context that uses it
  llama::context_ptr context_;
  llama_batch batch_;
  std::atomic<bool> abort_ = false;

  // What came so far.
  std::uint64_t tokens_ = 0;
  std::uint64_t texts_ = 0;
  std::uint64_t truncated_ = 0;
};

}  // namespace

signature embedding_signature(const llama_model& model) {
  return {{{"text", datatype::bytes, {-1}}},
          {{"embedding", datatype::fp32, {-1, static_cast<std::int64_t>(llama_model_n_embd_out(&model))}}},
          true};
}

std::vector<metric_spec> embedding_metrics() {
  return {{"prompt_tokens", "Tokens of prompts, and of texts to embed", metric_spec::kind::counter},
          {"texts", "Texts to embed", metric_spec::kind::counter},
          {"truncated_texts", "Texts to embed whose end was cut off", metric_spec::kind::counter}};
}

expected<std::unique_ptr<instance>> make_embedding_instance(const llama_model& model,
                                                            const embedding_settings& settings) {
  auto parameters = llama_context_default_params();
  parameters.embeddings = true;
  parameters.pooling_type = settings.pooling;
  parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = static_cast<std::uint32_t>(settings.batch_tokens);
  parameters.n_seq_max = texts_at_once;
  parameters.kv_unified = true;
  parameters.n_threads = parameters.n_threads_batch = static_cast<std::int32_t>(settings.threads);
  parameters.no_perf = true;
  llama::context_ptr context{llama_init_from_model(const_cast<llama_model*>(&model), parameters)};
  if (!context)
    return make_error(status_code::resource_exhausted,
                      "llama.cpp can't make a context of " + std::to_string(settings.batch_tokens) + " tokens",
                      "set the option batch_tokens to less");
  if (llama_pooling_type(context.get()) == LLAMA_POOLING_TYPE_NONE)
    return make_error(status_code::invalid_argument, "the model's file doesn't say how to pool",
                      "set the option pooling to mean, cls or last");
  return std::unique_ptr<instance>{std::make_unique<embedding_instance>(model, settings, std::move(context))};
}

}  // namespace troupe
