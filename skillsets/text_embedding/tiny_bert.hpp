#pragma once

#include "skillsets/text_embedding/bert_config.hpp"

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

namespace troupe {

/// The weights of a BERT encoder that a test makes up: small, but with everything that a large one has.
struct tiny_bert {
  struct weight {
    std::string type = "F32";
    std::vector<std::int64_t> shape;
    std::string bytes;
  };

  /// MiniLM's vocabulary, so that its tokeniser fits.
  bert_config config{30522, 16, 2, 4, 24, 64, 2, 1e-12};
  std::map<std::string, weight> weights;

  tiny_bert() {
    const auto hidden = config.hidden_size;
    add("embeddings.word_embeddings.weight", {config.vocab_size, hidden});
    add("embeddings.position_embeddings.weight", {config.max_position_embeddings, hidden});
    add("embeddings.token_type_embeddings.weight", {config.type_vocab_size, hidden});
    norm("embeddings.LayerNorm");
    for (std::int64_t i = 0; i != config.num_hidden_layers; ++i) {
      const auto layer = "encoder.layer." + std::to_string(i) + ".";
      for (const auto* part : {"self.query", "self.key", "self.value", "output.dense"})
        linear(layer + "attention." + part, hidden, hidden);
      norm(layer + "attention.output.LayerNorm");
      linear(layer + "intermediate.dense", config.intermediate_size, hidden);
      linear(layer + "output.dense", hidden, config.intermediate_size);
      norm(layer + "output.LayerNorm");
    }
  }

  /// The same weights under other names.
  tiny_bert renamed(const std::function<std::string(std::string)>& rename) const {
    auto copy = *this;
    copy.weights.clear();
    for (const auto& [name, value] : weights)
      copy.weights[rename(name)] = value;
    return copy;
  }

  void write_weights(const std::filesystem::path& path, std::size_t misalignment = 0) const {
    nlohmann::json header;
    std::string data;
    for (const auto& [name, value] : weights) {
      const auto begin = data.size();
      data += value.bytes;
      header[name] = {{"dtype", value.type}, {"shape", value.shape}, {"data_offsets", {begin, data.size()}}};
    }
    auto text = header.dump();
    text.append((8 - text.size() % 8) % 8 + misalignment, ' ');
    std::ofstream file{path, std::ios::binary};
    const std::uint64_t length = text.size();
    file.write(reinterpret_cast<const char*>(&length), sizeof length);
    file << text << data;
  }

  void write_config(const std::filesystem::path& path) const {
    std::ofstream{path} << nlohmann::json{{"model_type", "bert"},
                                          {"hidden_act", "gelu"},
                                          {"vocab_size", config.vocab_size},
                                          {"hidden_size", config.hidden_size},
                                          {"num_hidden_layers", config.num_hidden_layers},
                                          {"num_attention_heads", config.num_attention_heads},
                                          {"intermediate_size", config.intermediate_size},
                                          {"max_position_embeddings", config.max_position_embeddings},
                                          {"type_vocab_size", config.type_vocab_size}};
  }

 private:
  void add(const std::string& name, std::vector<std::int64_t> shape) {
    std::int64_t count = 1;
    for (const auto extent : shape)
      count *= extent;
    std::string bytes;
    for (std::int64_t i = 0; i != count; ++i) {
      const float number = std::normal_distribution<float>{0, 0.3F}(random_);
      bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
    }
    weights[name] = {"F32", std::move(shape), std::move(bytes)};
  }

  void norm(const std::string& name) {
    add(name + ".weight", {config.hidden_size});
    add(name + ".bias", {config.hidden_size});
  }

  void linear(const std::string& name, std::int64_t out, std::int64_t in) {
    add(name + ".weight", {out, in});
    add(name + ".bias", {out});
  }

  std::mt19937 random_{42};
};

}  // namespace troupe
