#include "skillsets/sdk/skillset.hpp"

#include <algorithm>

namespace troupe {

work_cost linear_cost::operator()(const inference_request& request) const {
  constexpr std::int64_t length_bytes = 4;  // before each element of a BYTES tensor
  if (request.inputs.empty())
    return {};
  const auto& input = request.inputs.front();
  const auto items = input.shape.empty() ? 1 : input.shape.front();
  if (items <= 0)
    return {0, 1};
  const auto bytes =
      static_cast<std::int64_t>(input.data.size()) - (input.type == datatype::bytes ? items * length_bytes : 0);
  return {items, std::clamp<std::int64_t>(fixed + bytes / items / bytes_per_unit, 1, most)};
}

const std::any& work_item::state() const noexcept {
  static const std::any none;
  return none;
}

void work_item::set_state(std::any) {}

}  // namespace troupe
