#include "skillsets/text_embedding/batch_plan.hpp"

#include <algorithm>
#include <numeric>

namespace troupe {

batch_limits text_limits(std::size_t budget) {
  constexpr std::int64_t tokens_a_run_costs = 16;
  constexpr std::int64_t tokens_a_padded_one = 4;
  return {.items = static_cast<std::int64_t>(budget),
          .units = static_cast<std::int64_t>(budget),
          .run_units = tokens_a_run_costs,
          .padding_part = tokens_a_padded_one};
}

std::vector<text_batch> plan_batches(std::span<const std::size_t> lengths, std::size_t budget) {
  const auto limits = text_limits(budget);
  std::vector<std::size_t> order(lengths.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return lengths[a] > lengths[b]; });
  std::vector<text_batch> batches;
  batch_shape shape;
  for (const auto text : order) {
    const work_cost cost{1, static_cast<std::int64_t>(lengths[text])};
    if (batches.empty() || !shape.fits(cost, limits)) {
      batches.push_back({{}, lengths[text]});
      shape = {};
    }
    batches.back().texts.push_back(text);
    shape.add(cost);
  }
  return batches;
}

}  // namespace troupe
