#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace troupe {

/// Texts that run together, each filled up to the length of the longest.
struct text_batch {
  std::vector<std::size_t> texts;  ///< their indices, the longest first; never empty
  std::size_t length = 0;          ///< tokens of the longest
};

/// Shares texts of `lengths` tokens out to batches of similar length, the longest first.
///
/// A batch has at most `budget` tokens, padding included, unless a single text is longer by itself. Its padding is at
/// most 16 tokens and a quarter of its real ones: a padded token costs as much as a real one, and starting one more run
/// costs about as much as 16 (measured for six layers of 384 on one CPU thread).
std::vector<text_batch> plan_batches(std::span<const std::size_t> lengths, std::size_t budget);

}  // namespace troupe
