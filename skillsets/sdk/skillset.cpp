#include "skillsets/sdk/skillset.hpp"

namespace troupe {

const std::any& work_item::state() const noexcept {
  static const std::any none;
  return none;
}

void work_item::set_state(std::any) {}

}  // namespace troupe
