#pragma once

#include "actors/concurrency/error.hpp"
#include "apps/troupe/fwd.hpp"

#include <string>
#include <vector>

namespace troupe::cli {

struct embed_options {
  std::vector<std::string> texts;  ///< a lone `-` stands for the lines of standard input
  std::string model;               ///< empty: the only ready model that embeds texts
  bool similarity = false;         ///< print how alike the texts are, instead of their vectors
};

/// Prints the vector of each text, one line a text, as soon as the node has answered; or, for `similarity`, the cosine
/// of every two. Texts go to the node in batches, so that standard input may be endless. A text that the model cut is
/// counted on standard error.
expected<void> embed(session& with, const embed_options& options);

}  // namespace troupe::cli
