#pragma once

#include "actors/gateway/http/openai/api_error.hpp"
#include "skillsets/sdk/skillset.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace troupe::openai {

/// As OpenAI's API has it.
inline constexpr std::size_t most_texts = 2048;

/// A request for embeddings.
struct embedding_request {
  std::string model;
  std::vector<std::string> texts;  ///< 1 to `most_texts`
  bool base64 = false;
  std::optional<std::size_t> dimensions;  ///< to which vectors are shortened
  bool truncate = false;                  ///< a text that is too long is cut rather than refused
  parameter_map parameters;               ///< of the task "text embedding"
  field_names names;                      ///< what the parameters are called in the API

  /// The inference request for `count` texts from `first` on.
  inference_request inference(std::size_t first, std::size_t count) const;
};

/// Reads the body of a `POST /v1/embeddings`; errors as for chats.
expected<embedding_request> read_embedding_request(const json& body);

}  // namespace troupe::openai
