#pragma once

#include "actors/gateway/http/openai/embedding_request.hpp"

#include <cstdint>
#include <string>

namespace troupe::openai {

/// The answer to a request for embeddings, from those to the inference requests that it was.
class embedding_answer {
 public:
  /// `asked` outlives it.
  explicit embedding_answer(const embedding_request& asked);

  /// The vectors of the texts from `first` on. OUT_OF_RANGE when the model cut off some of them and may not;
  /// INVALID_ARGUMENT when the vectors are shorter than was asked for, or can't be brought to length 1; INTERNAL when
  /// they are no numbers: the model's mistake.
  expected<void> add(std::size_t first, const inference_response& response);

  /// The body, once all of them are there.
  std::string body() const;

 private:
  const embedding_request& asked_;
  std::vector<std::string> vectors_;  // by text, as JSON
  std::int64_t tokens_ = 0;
};

}  // namespace troupe::openai
