#pragma once

#include "actors/concurrency/error.hpp"

#include <cstdint>
#include <memory>

namespace ov {
class Model;
}

namespace troupe {

/// How the vectors of a text's tokens become the one of the text.
enum class pooling_mode : std::uint8_t {
  mean,  ///< their mean, without padding
  cls,   ///< that of the first token
};

/// An encoder that gives embeddings: float32 [batch, dimension].
struct embedding_graph {
  std::shared_ptr<ov::Model> model;
  std::int64_t dimension = 0;
};

/// Continues an encoder as `read_encoder` and `build_bert` make it: pools an output of rank 3, leaves one of rank 2 as
/// it is, and brings each vector to length 1 when `normalize`, all as sentence-transformers does. INVALID_ARGUMENT
/// when the output has another rank or its last extent isn't known. The encoder is used up.
expected<embedding_graph> add_pooling(const std::shared_ptr<ov::Model>& encoder, pooling_mode mode, bool normalize);

}  // namespace troupe
