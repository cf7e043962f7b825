#include "skillsets/sdk/plugin.hpp"
#include "skillsets/text_generation/text_generation.hpp"

TROUPE_SKILLSET_ENTRY() {
  static const auto skills = troupe::make_text_generation_skillset();
  return skills.get();
}
