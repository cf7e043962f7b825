#include "skillsets/text_embedding/bert_config.hpp"

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace troupe {
namespace {

using nlohmann::json;

/// Far above any published encoder; bounds what a hostile file can make us compute.
constexpr std::int64_t largest_number = 10'000'000;

/// Reads keys of one file; the first that is wrong is remembered, and everything after it is of no account.
class config_reader {
 public:
  config_reader(const std::filesystem::path& path, const json& object) : path_(path), object_(object) {}

  std::int64_t natural(const char* key) {
    const auto i = object_.find(key);
    if (i == object_.end())
      return fail(key, "is missing"), 0;
    if (!i->is_number_integer() || *i < 1 || *i > largest_number)
      return fail(key, "is " + text_of(*i) + ", not an integer of 1 to " + std::to_string(largest_number)), 0;
    return i->get<std::int64_t>();
  }

  double small_number(const char* key, double fallback) {
    const auto i = object_.find(key);
    if (i == object_.end())
      return fallback;
    if (!i->is_number() || !(i->get<double>() > 0) || i->get<double>() >= 1)
      return fail(key, "is " + text_of(*i) + ", not a number between 0 and 1"), fallback;
    return i->get<double>();
  }

  /// Fails unless the text under `key` is `only`; a missing key counts as `fallback`.
  void require(const char* key, const std::string& only, const std::string& fallback, const std::string& remedy) {
    const auto value = object_.value(key, json(fallback));
    if (value != json(only))
      fail(key, "is " + text_of(value) + ", and only \"" + only + "\" is built in", remedy);
  }

  void fail(const std::string& key, const std::string& what, const std::string& remedy = {}) {
    if (failure_.code == status_code::ok)
      failure_ = make_error(status_code::invalid_argument, "config '" + path_.string() + "': '" + key + "' " + what,
                            remedy.empty() ? "give the config.json that belongs to the weights" : remedy);
  }

  /// OK as long as nothing was wrong.
  const error& failure() const noexcept { return failure_; }

 private:
  static std::string text_of(const json& value) { return value.dump(-1, ' ', true, json::error_handler_t::replace); }

  const std::filesystem::path& path_;
  const json& object_;
  error failure_{status_code::ok, {}, {}};
};

expected<json> read_object(const std::filesystem::path& path) {
  std::ifstream file{path, std::ios::binary};
  if (!file)
    return make_error(status_code::not_found, "can't open the config '" + path.string() + "'");
  auto object = json::parse(file, nullptr, false);
  if (!object.is_object())
    return make_error(status_code::invalid_argument, "config '" + path.string() + "' is not a JSON object",
                      "fetch the file again and compare its sha256");
  return object;
}

}  // namespace

expected<bert_config> read_bert_config(const std::filesystem::path& path) {
  const auto object = read_object(path);
  if (!object)
    return object.error();
  config_reader reader{path, *object};
  const std::string remedy = "export the model to ONNX or OpenVINO IR and name it under the role 'model'";
  reader.require("model_type", "bert", "", remedy);
  reader.require("hidden_act", "gelu", "gelu", remedy);
  reader.require("position_embedding_type", "absolute", "absolute", remedy);
  bert_config config;
  config.vocab_size = reader.natural("vocab_size");
  config.hidden_size = reader.natural("hidden_size");
  config.num_hidden_layers = reader.natural("num_hidden_layers");
  config.num_attention_heads = reader.natural("num_attention_heads");
  config.intermediate_size = reader.natural("intermediate_size");
  config.max_position_embeddings = reader.natural("max_position_embeddings");
  config.type_vocab_size = reader.natural("type_vocab_size");
  config.layer_norm_eps = reader.small_number("layer_norm_eps", config.layer_norm_eps);
  if (reader.failure().code == status_code::ok && config.hidden_size % config.num_attention_heads != 0)
    reader.fail("hidden_size", "is " + std::to_string(config.hidden_size) + ", no multiple of the " +
                                   std::to_string(config.num_attention_heads) + " of 'num_attention_heads'");
  if (reader.failure().code != status_code::ok)
    return reader.failure();
  return config;
}

expected<std::int64_t> read_max_seq_length(const std::filesystem::path& path) {
  const auto object = read_object(path);
  if (!object)
    return object.error();
  config_reader reader{path, *object};
  const auto length = reader.natural("max_seq_length");
  if (reader.failure().code != status_code::ok)
    return reader.failure();
  return length;
}

}  // namespace troupe
