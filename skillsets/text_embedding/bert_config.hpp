#pragma once

#include "actors/concurrency/error.hpp"

#include <cstdint>
#include <filesystem>

namespace troupe {

/// The numbers of a BERT encoder, under the names that its config.json gives them.
struct bert_config {
  std::int64_t vocab_size = 0;
  std::int64_t hidden_size = 0;  ///< a multiple of num_attention_heads
  std::int64_t num_hidden_layers = 0;
  std::int64_t num_attention_heads = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t max_position_embeddings = 0;
  std::int64_t type_vocab_size = 0;
  double layer_norm_eps = 1e-12;
};

/// Reads a config.json. INVALID_ARGUMENT, naming file and key, when it describes no BERT encoder or one with parts that
/// we can't build; NOT_FOUND when it can't be read.
expected<bert_config> read_bert_config(const std::filesystem::path& path);

/// `max_seq_length` of a sentence_bert_config.json, at least 1. Errors as above.
expected<std::int64_t> read_max_seq_length(const std::filesystem::path& path);

}  // namespace troupe
