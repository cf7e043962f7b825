#include "skillsets/text_embedding/text_embedding.hpp"

#include "skillsets/text_embedding/batch_plan.hpp"
#include "skillsets/text_embedding/bert_config.hpp"
#include "skillsets/text_embedding/bert_encoder.hpp"
#include "skillsets/text_embedding/encoder_file.hpp"
#include "skillsets/text_embedding/inference.hpp"
#include "skillsets/text_embedding/pooling.hpp"
#include "skillsets/text_embedding/safetensors.hpp"
#include "skillsets/text_embedding/shape_memory.hpp"
#include "skillsets/text_embedding/text_tokenizer.hpp"
#include "skillsets/text_embedding/token_ids.hpp"

#include <algorithm>
#include <openvino/runtime/compiled_model.hpp>
#include <openvino/runtime/core.hpp>
#include <utility>

namespace troupe {
namespace {

constexpr std::int64_t largest_text = 1'000'000;
constexpr std::int64_t largest_budget = 1'000'000;

// For estimates of what a text costs.
constexpr std::int64_t bytes_a_token = 4;
constexpr std::int64_t special_tokens = 2;

/// The `[options]` of a model.
struct embedding_options {
  pooling_mode pooling = pooling_mode::mean;
  bool normalize = true;
  std::int64_t max_tokens = 0;  ///< 0: as the model's files say
  bool bf16 = false;
  std::size_t batch_tokens = 384;
};

embedding_options read_options(const parameter_map& options) {
  return {std::get<std::string>(options.at("pooling")) == "cls" ? pooling_mode::cls : pooling_mode::mean,
          std::get<bool>(options.at("normalize")), std::get<std::int64_t>(options.at("max_tokens")),
          std::get<std::string>(options.at("precision")) == "bf16",
          static_cast<std::size_t>(std::get<std::int64_t>(options.at("batch_tokens")))};
}

bool has_file(const model_settings& settings, std::string_view role) {
  return settings.files.find(role) != settings.files.end();
}

expected<std::filesystem::path> file_of(const model_settings& settings, std::string_view role) {
  const auto i = settings.files.find(role);
  if (i != settings.files.end())
    return i->second;
  return make_error(status_code::not_found,
                    "model '" + settings.name + "' has no file for the role '" + std::string{role} + "'",
                    "text_embedding needs a tokenizer, and either weights and a config or a model");
}

/// An encoder before pooling, and what it can take.
struct encoder {
  std::shared_ptr<ov::Model> model;
  std::optional<bert_config> limits;  ///< nothing when no config says them
};

expected<encoder> build_encoder(const model_settings& settings) {
  const auto weights_path = file_of(settings, "weights");
  if (!weights_path)
    return weights_path.error();
  const auto config_path = file_of(settings, "config");
  if (!config_path)
    return config_path.error();
  const auto config = read_bert_config(*config_path);
  if (!config)
    return config.error();
  const auto weights = safetensors_file::open(*weights_path);
  if (!weights)
    return weights.error();
  auto model = build_bert(*config, *weights);
  if (!model) {
    model.error().cause = "weights '" + weights_path->string() + "': " + model.error().cause;
    return model.error();
  }
  return encoder{*std::move(model), *config};
}

expected<encoder> load_encoder(const model_settings& settings) {
  if (!has_file(settings, "model"))
    return build_encoder(settings);
  const auto weights = has_file(settings, "weights") ? settings.files.find("weights")->second : "";
  auto model = read_encoder(settings.files.find("model")->second, weights);
  if (!model)
    return model.error();
  encoder result{*std::move(model), {}};
  if (has_file(settings, "config")) {
    const auto config = read_bert_config(settings.files.find("config")->second);
    if (!config)
      return config.error();
    result.limits = *config;
  }
  return result;
}

/// The longest text in tokens: the option, else what the model's files say.
expected<std::int64_t> longest_text(const model_settings& settings, const embedding_options& options,
                                    const std::optional<bert_config>& limits) {
  auto length = options.max_tokens;
  if (length == 0 && has_file(settings, "sentence_config")) {
    const auto told = read_max_seq_length(settings.files.find("sentence_config")->second);
    if (!told)
      return told.error();
    length = *told;
  }
  if (length == 0 && limits)
    length = limits->max_position_embeddings;
  if (length == 0)
    return make_error(status_code::invalid_argument, "nothing says how many tokens model '" + settings.name + "' takes",
                      "set the option max_tokens, or add its config.json under the role 'config'");
  if (limits && length > limits->max_position_embeddings)
    return make_error(status_code::invalid_argument,
                      "max_tokens is " + std::to_string(length) + ", and model '" + settings.name + "' has " +
                          std::to_string(limits->max_position_embeddings) + " positions",
                      "lower the option max_tokens");
  return length;
}

/// OK unless the tokeniser can give ids or types that the encoder has no rows for.
expected<void> check_tokenizer(const text_tokenizer& tokenizer, const bert_config& limits,
                               const std::filesystem::path& path) {
  const auto wrong = [&](const std::string& what, std::int64_t number, std::int64_t rows) {
    return make_error(status_code::invalid_argument,
                      "tokenizer '" + path.string() + "' gives " + what + " " + std::to_string(number) +
                          ", and the model has " + std::to_string(rows) + " of them",
                      "give the tokenizer.json that belongs to the model");
  };
  if (tokenizer.largest_id() >= limits.vocab_size)
    return wrong("the id", tokenizer.largest_id(), limits.vocab_size);
  const auto sample = tokenizer.encode("a");
  if (!sample)
    return sample.error();
  for (const auto type : sample->types)
    if (type >= limits.type_vocab_size)
      return wrong("the token type", type, limits.type_vocab_size);
  return {};
}

expected<text_tokenizer> load_tokenizer(const model_settings& settings, std::int64_t max_tokens,
                                        const std::optional<bert_config>& limits) {
  const auto path = file_of(settings, "tokenizer");
  if (!path)
    return path.error();
  auto tokenizer = text_tokenizer::load(*path, static_cast<std::size_t>(max_tokens));
  if (!tokenizer || !limits)
    return tokenizer;
  if (auto fits = check_tokenizer(*tokenizer, *limits, *path); !fits)
    return fits.error();
  return tokenizer;
}

/// What the instances of a model share.
struct model_core {
  ov::Core core;  // first member: what it made goes before it
  std::shared_ptr<ov::Model> graph;
  compile_target target;
  text_tokenizer tokenizer;
  std::size_t dimension;
  std::int64_t max_tokens;
  std::size_t batch_tokens;
};

/// The inputs of one run, whose memory is kept from run to run.
class batch_inputs {
 public:
  explicit batch_inputs(std::int64_t padding_id) : padding_id_(padding_id) {}

  void fill(const text_batch& batch, const std::vector<encoded_text>& texts) {
    const auto size = batch.texts.size() * batch.length;
    shape_ = {batch.texts.size(), batch.length};
    ids_.assign(size, padding_id_);
    mask_.assign(size, 0);
    types_.assign(size, 0);
    std::ptrdiff_t row = 0;
    for (const auto text : batch.texts) {
      const auto& [ids, types, dropped] = texts[text];
      std::copy(ids.begin(), ids.end(), ids_.begin() + row);
      std::copy(types.begin(), types.end(), types_.begin() + row);
      std::fill_n(mask_.begin() + row, ids.size(), 1);
      row += static_cast<std::ptrdiff_t>(batch.length);
    }
  }

  /// Fills in a batch of this shape that means nothing.
  void fill_blank(const ov::Shape& shape) {
    shape_ = shape;
    ids_.assign(ov::shape_size(shape), padding_id_);
    mask_.assign(ov::shape_size(shape), 1);
    types_.assign(ov::shape_size(shape), 0);
  }

  const ov::Shape& shape() const noexcept { return shape_; }

  /// Lends the inputs to `request`, until they are filled again.
  void lend(ov::InferRequest& request, const ov::CompiledModel& model) {
    for (const auto& port : model.inputs()) {
      const auto& names = port.get_names();
      auto& data = names.count("input_ids") ? ids_ : names.count("attention_mask") ? mask_ : types_;
      request.set_tensor(port, ov::Tensor{ov::element::i64, shape_, data.data()});
    }
  }

 private:
  std::int64_t padding_id_;
  ov::Shape shape_;
  std::vector<std::int64_t> ids_;
  std::vector<std::int64_t> mask_;
  std::vector<std::int64_t> types_;
};

/// Whether the texts of a request are token ids, as its `prompt_format` says.
expected<bool> has_token_ids(const inference_request& request) {
  const auto i = request.parameters.find("prompt_format");
  if (i == request.parameters.end())
    return false;
  const auto* format = std::get_if<std::string>(&i->second);
  if (!format || (*format != "text" && *format != "tokens"))
    return make_error(status_code::invalid_argument, "parameter 'prompt_format' is neither 'text' nor 'tokens'");
  return *format == "tokens";
}

/// A request on its way to its vectors.
class embedding_job {
 public:
  /// `first` is the number of its first text among those of the batch.
  embedding_job(work_item& item, std::size_t first, const std::vector<encoded_text>& texts, std::size_t dimension)
      : item_(item), first_(first), vectors_(texts.size() * dimension), dimension_(dimension), left_(texts.size()) {
    for (const auto& [ids, types, dropped] : texts) {
      tokens_ += ids.size();
      truncated_ += dropped != 0;
    }
  }

  bool cancelled() const { return item_.token().cancelled(); }

  /// Takes the vector of a text, and answers when it was the last that was missing.
  void put(std::size_t text, std::span<const float> vector) {
    const auto place = (text - first_) * dimension_;
    std::copy(vector.begin(), vector.end(), vectors_.begin() + static_cast<std::ptrdiff_t>(place));
    --left_;
    respond_when_done();
  }

  void respond_when_done() {
    if (left_ != 0)
      return;
    inference_response response;
    const auto rows = static_cast<std::int64_t>(vectors_.size() / dimension_);
    response.outputs.push_back({"embedding",
                                datatype::fp32,
                                {rows, static_cast<std::int64_t>(dimension_)},
                                buffer::take(std::move(vectors_))});
    response.parameters.emplace("prompt_tokens", static_cast<std::int64_t>(tokens_));
    response.parameters.emplace("truncated_texts", static_cast<std::int64_t>(truncated_));
    item_.respond(std::move(response));
  }

 private:
  work_item& item_;
  std::size_t first_;
  std::vector<float> vectors_;
  std::size_t dimension_;
  std::size_t left_;
  std::size_t tokens_ = 0;
  std::size_t truncated_ = 0;
};

class embedding_instance final : public instance {
 public:
  embedding_instance(model_core& core, ov::CompiledModel compiled)
      : core_(core),
        limits_{core.tokenizer.largest_id(), static_cast<std::size_t>(core.max_tokens)},
        compiled_(std::move(compiled)),
        inputs_(core.tokenizer.padding_id()),
        request_(compiled_) {}

  expected<void> run(std::span<work_item* const> batch, const cancel_token& token) override {
    std::vector<embedding_job> jobs;
    std::vector<encoded_text> texts;
    std::vector<std::size_t> owners;  // for each text, the index of its job
    for (auto* item : batch) {
      auto encoded = tokenize(*item);
      if (!encoded) {
        item->respond(std::move(encoded).error());
        continue;
      }
      jobs.emplace_back(*item, texts.size(), *encoded, core_.dimension);
      for (auto& text : *encoded) {
        owners.push_back(jobs.size() - 1);
        texts.push_back(std::move(text));
      }
    }
    for (auto& job : jobs)
      job.respond_when_done();  // without a text there is nothing to wait for
    return embed(texts, owners, jobs, token);
  }

 private:
  expected<std::vector<encoded_text>> tokenize(const work_item& item) {
    const auto& input = item.request().inputs.front();
    const auto texts = split_bytes(input.data.view(), input.shape.front());
    if (!texts)
      return texts.error();
    const auto given_tokens = has_token_ids(item.request());
    if (!given_tokens)
      return given_tokens.error();
    const auto token = item.token();
    std::vector<encoded_text> encoded;
    encoded.reserve(texts->size());
    for (const auto text : *texts) {
      if (token.cancelled())
        return token.reason();
      const auto name = "text " + std::to_string(encoded.size()) + " ";
      auto one = *given_tokens ? read_token_ids(text, limits_) : core_.tokenizer.encode(text);
      if (!one)
        return make_error(one.error().code, name + one.error().cause, one.error().remedy);
      if (one->ids.empty())
        return make_error(status_code::invalid_argument, name + "has no tokens for this model", "send longer texts");
      encoded.push_back(*std::move(one));
    }
    return encoded;
  }

  /// Runs the texts of all jobs together, and answers each job as soon as it has its last vector.
  expected<void> embed(const std::vector<encoded_text>& texts, const std::vector<std::size_t>& owners,
                       std::vector<embedding_job>& jobs, const cancel_token& token) {
    std::vector<std::size_t> lengths;
    for (const auto& text : texts)
      lengths.push_back(text.ids.size());
    for (auto& batch : plan_batches(lengths, core_.batch_tokens)) {
      std::erase_if(batch.texts, [&](std::size_t text) { return jobs[owners[text]].cancelled(); });
      // Asked before whether anything is left: where all are cancelled nothing is, and that is the reason.
      if (token.cancelled())
        return token.reason();
      if (batch.texts.empty())
        continue;
      batch.length = lengths[batch.texts.front()];
      if (auto done = run_batch(batch, texts, token); !done)
        return done.error();
      const auto vectors = last_vectors();
      for (std::size_t row = 0; row != batch.texts.size(); ++row)
        jobs[owners[batch.texts[row]]].put(batch.texts[row], vectors.subspan(row * core_.dimension, core_.dimension));
    }
    return {};
  }

  expected<void> run_batch(const text_batch& batch, const std::vector<encoded_text>& texts,
                           const cancel_token& token) try {
    if (!memory_.may_run({batch.texts.size(), batch.length}))
      if (auto settled = settle(); !settled)
        return settled;
    inputs_.fill(batch, texts);
    if (auto done = run_inputs(token); !done)
      return done;
    const auto output = request_.get().get_output_tensor();
    if (output.get_shape() != ov::Shape{batch.texts.size(), core_.dimension})
      return make_error(status_code::internal, "the model gave " + std::to_string(output.get_size()) + " numbers for " +
                                                   std::to_string(batch.texts.size()) + " texts");
    return {};
  } catch (const std::exception& e) {
    return make_error(status_code::internal, "OpenVINO can't run the model: " + one_line(e));
  }

  /// The vectors of the batch that ran last, one after the other, until the next one runs.
  std::span<const float> last_vectors() {
    const auto output = request_.get().get_output_tensor();
    return {output.data<const float>(), output.get_size()};
  }

  /// Makes the graph fit for any shape after a run that was stopped.
  expected<void> settle() {
    inputs_.fill_blank(memory_.stranger());
    return run_inputs({});
  }

  /// Runs what is filled in, and notes what the graph remembers of it.
  expected<void> run_inputs(const cancel_token& token) {
    inputs_.lend(request_.get(), compiled_);
    auto done = request_.run(token);
    if (done)
      memory_.ended(inputs_.shape());
    else
      memory_.stopped(inputs_.shape());
    return done;
  }

  model_core& core_;
  const token_limits limits_;
  ov::CompiledModel compiled_;  // its own: the graph remembers what ran last, and streams of one model swap graphs
  batch_inputs inputs_;         // before the request, which borrows their memory
  cancellable_request request_;
  shape_memory memory_;
};

expected<model_core> load_core(const model_settings& settings, const cancel_token& token) {
  const auto options = read_options(settings.options);
  ov::Core core;
  if (auto there = check_device(core, settings.device); !there)
    return there.error();
  const auto encoder = load_encoder(settings);
  if (!encoder)
    return encoder.error();
  const auto max_tokens = longest_text(settings, options, encoder->limits);
  if (!max_tokens)
    return max_tokens.error();
  auto tokenizer = load_tokenizer(settings, *max_tokens, encoder->limits);
  if (!tokenizer)
    return tokenizer.error();
  const auto graph = add_pooling(encoder->model, options.pooling, options.normalize);
  if (!graph)
    return graph.error();
  if (token.cancelled())
    return token.reason();
  return model_core{std::move(core),
                    graph->model,
                    {settings.device, options.bf16, settings.threads},
                    *std::move(tokenizer),
                    static_cast<std::size_t>(graph->dimension),
                    *max_tokens,
                    options.batch_tokens};
}

class embedding_model final : public loaded_model {
 public:
  explicit embedding_model(model_core core)
      : core_(std::move(core)),
        signature_{{{"text", datatype::bytes, {-1}}},
                   {{"embedding", datatype::fp32, {-1, static_cast<std::int64_t>(core_.dimension)}}},
                   true} {}

  const signature& describe() const override { return signature_; }

  expected<std::unique_ptr<instance>> make_instance() override {
    try {
      auto compiled = compile(core_.core, core_.graph, core_.target);
      if (!compiled)
        return compiled.error();
      return std::unique_ptr<instance>{std::make_unique<embedding_instance>(core_, *std::move(compiled))};
    } catch (const std::exception& e) {
      return make_error(status_code::internal, "OpenVINO can't make an instance: " + one_line(e));
    }
  }

  batch_policy batching() const override {
    // From the bytes alone, as tokens are about four of them in European languages.
    return {text_limits(core_.batch_tokens), linear_cost{special_tokens, bytes_a_token, core_.max_tokens}};
  }

  inference_request warm_up() const override {
    std::string texts;
    std::string longer;
    for (int i = 0; i != 30; ++i)
      longer += "a text of some length ";
    append_bytes(texts, "a text");
    append_bytes(texts, longer);
    return {{tensor{"text", datatype::bytes, {2}, buffer::take(std::move(texts))}}, {}};
  }

 private:
  model_core core_;
  signature signature_;
};

class embedding_skillset final : public skillset {
 public:
  std::string_view name() const override { return "text_embedding"; }

  std::string_view platform() const override { return "openvino"; }
  std::string_view version() const override { return TROUPE_VERSION; }

  std::vector<option_spec> options() const override {
    return {{"pooling", std::string{"mean"}, {"mean", "cls"}},
            {"normalize", true, {}},
            {"max_tokens", std::int64_t{0}, {}, 0, static_cast<double>(largest_text)},
            {"precision", std::string{"f32"}, {"f32", "bf16"}},
            {"batch_tokens", std::int64_t{384}, {}, 1, static_cast<double>(largest_budget)}};
  }

  expected<std::unique_ptr<loaded_model>> load(const model_settings& settings, const cancel_token& token) override {
    try {
      auto core = load_core(settings, token);
      if (!core)
        return core.error();
      return std::unique_ptr<loaded_model>{std::make_unique<embedding_model>(*std::move(core))};
    } catch (const std::exception& e) {
      return make_error(status_code::internal, "can't load model '" + settings.name + "': " + one_line(e));
    }
  }

  expected<std::vector<runtime_device>> devices() override { return openvino_devices(); }
};

}  // namespace

std::unique_ptr<skillset> make_text_embedding_skillset() {
  return std::make_unique<embedding_skillset>();
}

}  // namespace troupe
