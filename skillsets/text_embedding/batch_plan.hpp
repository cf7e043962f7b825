#pragma once

#include "actors/execution/batch_shape.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace troupe {

/// Texts that run together, each filled up to the length of the longest.
struct text_batch {
  std::vector<std::size_t> texts;  ///< their indices, the longest first; never empty
  std::size_t length = 0;          ///< tokens of the longest
};

/// What texts may run together: at most `budget` tokens, padding included, of which at most 16 tokens and a quarter of
/// the real ones. A padded token costs as much as a real one, and starting one more run costs about as much as 16
/// (measured for six layers of 384 on one CPU thread).
batch_limits text_limits(std::size_t budget);

/// Shares texts of `lengths` tokens out to batches of similar length within `text_limits(budget)`, the longest first. A
/// text that is longer than the budget is a batch by itself.
std::vector<text_batch> plan_batches(std::span<const std::size_t> lengths, std::size_t budget);

}  // namespace troupe
