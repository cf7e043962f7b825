#pragma once

#include "actors/concurrency/clock.hpp"

#include <cstddef>
#include <optional>

namespace troupe {

/// Foretells how long a queue takes to get to somebody, from how fast it has moved of late. Not thread-safe.
class wait_estimate {
 public:
  /// Work was waiting all the time in which `units` left the queue: the best there is to learn from, as it has in it
  /// how much runs at once, how well it batches, and who else uses the device.
  void drained(double units, steady_clock::duration took);

  /// One of `workers` ran `units`: all there is to learn from while nothing waits.
  void ran(double units, steady_clock::duration took, std::size_t workers);

  /// How long `units` will take to leave the queue; nothing before anything has run.
  std::optional<steady_clock::duration> wait(double units) const;

 private:
  void learn(double seconds_a_unit);

  std::optional<double> seconds_a_unit_;
  int learnt_ = 0;  // observations
  bool drained_last_ = false;
};

}  // namespace troupe
