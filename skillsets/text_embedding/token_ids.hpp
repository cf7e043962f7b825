#pragma once

#include "actors/concurrency/error.hpp"
#include "skillsets/text_embedding/text_tokenizer.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace troupe {

/// Which token ids a model takes.
struct token_limits {
  std::int64_t largest_id;
  std::size_t most;  ///< in one text, special ones counted; further ones are cut off
};

/// Reads a text that is tokens already: a JSON array of ids, as the model shall read them, so that special tokens are
/// among them or missing. All belong to the first sequence. INVALID_ARGUMENT when it is none, or has an id that the
/// model hasn't.
expected<encoded_text> read_token_ids(std::string_view json, const token_limits& limits);

}  // namespace troupe
