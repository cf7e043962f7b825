#include "skillsets/text_embedding/text_embedding.hpp"

/// The skillset of this shared object.
extern "C" __attribute__((visibility("default"))) troupe::skillset* troupe_skillset() {
  static const auto skills = troupe::make_text_embedding_skillset();
  return skills.get();
}
