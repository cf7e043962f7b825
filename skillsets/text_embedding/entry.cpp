#include "skillsets/sdk/plugin.hpp"
#include "skillsets/text_embedding/text_embedding.hpp"

TROUPE_SKILLSET_ENTRY() {
  static const auto skills = troupe::make_text_embedding_skillset();
  return skills.get();
}
