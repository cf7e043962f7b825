#pragma once

#include "actors/concurrency/error.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace troupe::cli {

/// How much one call may carry.
struct batch_limits {
  std::size_t lines = 64;
  std::size_t bytes = std::size_t{1} << 20;        ///< a batch ends with the line that reaches this
  std::size_t line_bytes = std::size_t{64} << 20;  ///< a longer line is an error
};

/// Reads lines from a file descriptor in batches, so that input of any size needs the memory of one batch. What has
/// arrived is given at once rather than held back until a batch is full, so that a slow producer gets its answers.
/// A line is every byte up to the newline, carriage returns included; the last one needs no newline.
class line_reader {
 public:
  /// `stop` is a descriptor that becomes readable when reading shall end.
  line_reader(int descriptor, int stop, batch_limits limits = {}) noexcept
      : descriptor_(descriptor), stop_(stop), limits_(limits) {}

  /// Waits for the next lines; none at the end of input. CANCELLED when `stop` became readable, INTERNAL when reading
  /// fails, OUT_OF_RANGE for a line that is too long; the lines before a failure are given first.
  expected<std::vector<std::string>> next();

  /// Waits for the end of input, and gives all that is left before it, newlines included; errors as of `next`, where
  /// all of it counts as one line.
  expected<std::string> rest();

 private:
  /// Moves whole lines from the buffer to `batch` until a limit is met, that of a line included.
  void take_lines(std::vector<std::string>& batch);
  bool full(const std::vector<std::string>& batch) const noexcept;

  /// True when reading gives something, the end included, before `timeout_ms`; negative waits for ever.
  expected<bool> readable(int timeout_ms) const;
  expected<void> fill();

  int descriptor_;
  int stop_;
  batch_limits limits_;
  std::string buffer_;
  std::size_t begin_ = 0;    ///< the first byte of `buffer_` that was not given yet
  std::size_t scanned_ = 0;  ///< no newline between `begin_` and here
  std::size_t batch_bytes_ = 0;
  bool end_ = false;
};

}  // namespace troupe::cli
