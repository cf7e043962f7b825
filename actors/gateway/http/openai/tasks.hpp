#pragma once

#include "skillsets/sdk/skillset.hpp"

#include <cstdint>

namespace troupe::openai {

/// What endpoints want of a model.
enum class model_task : std::uint8_t {
  text_generation,  ///< decoupled: one text in (`text_input`), pieces of one text out (`text_output`)
  text_embedding,   ///< a batch of texts in (`text`), a float32 vector for each out (`embedding`)
};

/// Whether a model does that, which is told by what it takes and gives, and by nothing else.
bool does(const signature& model, model_task task);

}  // namespace troupe::openai
