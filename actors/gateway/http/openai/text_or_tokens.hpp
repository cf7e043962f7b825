#pragma once

#include "actors/gateway/http/openai/object_reader.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace troupe::openai {

/// What `prompt` of completions and `input` of embeddings may be: one text or several, or one array of token ids or
/// several of these.
struct text_or_tokens {
  std::vector<std::string> texts;  ///< the texts, or the token ids of each as a JSON array
  bool tokens = false;
};

/// Reads the member `name`, which must be there, of 1 to `most` texts.
text_or_tokens read_text_or_tokens(const object_reader& body, std::string_view name, std::size_t most);

}  // namespace troupe::openai
