#pragma once

#include "skillsets/sdk/skillset.hpp"
#include "skillsets/text_generation/llama_library.hpp"

#include <cstddef>
#include <memory>
#include <vector>

namespace troupe {

/// How a model makes vectors of texts.
struct embedding_settings {
  enum llama_pooling_type pooling = LLAMA_POOLING_TYPE_UNSPECIFIED;  ///< unspecified: as its file says, else the mean
  bool normalize = true;
  std::size_t context = 0;  ///< tokens of a text, beyond which it is cut
  std::size_t batch_tokens = 2048;
  std::size_t threads = 1;
};

/// The signature of models that turn texts into vectors: the same as that of the skillset text_embedding.
signature embedding_signature(const llama_model& model);

/// What its instances measure.
std::vector<metric_spec> embedding_metrics();

/// An instance that turns texts into vectors. RESOURCE_EXHAUSTED where there is no memory for it.
expected<std::unique_ptr<instance>> make_embedding_instance(const llama_model& model,
                                                            const embedding_settings& settings);

}  // namespace troupe
