#include "skillsets/text_embedding/batch_plan.hpp"

#include <algorithm>
#include <numeric>

namespace troupe {
namespace {

constexpr std::size_t tokens_a_run_costs = 16;
constexpr std::size_t tokens_a_padded_one = 4;

}  // namespace

std::vector<text_batch> plan_batches(std::span<const std::size_t> lengths, std::size_t budget) {
  std::vector<std::size_t> order(lengths.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return lengths[a] > lengths[b]; });
  std::vector<text_batch> batches;
  std::size_t tokens = 0;
  for (const auto text : order) {
    const auto fits = [&](const text_batch& batch) {
      const auto padded = batch.length * (batch.texts.size() + 1);
      const auto real = tokens + lengths[text];
      return padded <= budget && padded - real <= tokens_a_run_costs + real / tokens_a_padded_one;
    };
    if (batches.empty() || !fits(batches.back())) {
      batches.push_back({{}, lengths[text]});
      tokens = 0;
    }
    batches.back().texts.push_back(text);
    tokens += lengths[text];
  }
  return batches;
}

}  // namespace troupe
