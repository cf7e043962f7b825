#include "actors/execution/wait_estimate.hpp"

#include <algorithm>
#include <utility>

namespace troupe {
namespace {

/// The part of what is believed that one more observation replaces.
constexpr double weight = 0.2;
constexpr int most_counted = 10;

/// Longer waits than this are all the same.
constexpr double longest_seconds = 86'400;

double seconds(steady_clock::duration time) {
  return std::chrono::duration<double>(time).count();
}

}  // namespace

void wait_estimate::drained(double units, steady_clock::duration took) {
  if (units <= 0)
    return;
  learn(seconds(took) / units);
  drained_last_ = true;
}

void wait_estimate::ran(double units, steady_clock::duration took, std::size_t workers) {
  // While the queue is never empty, that is seen by how it drains.
  if (units <= 0 || std::exchange(drained_last_, false))
    return;
  learn(seconds(took) / units / static_cast<double>(std::max<std::size_t>(workers, 1)));
}

std::optional<steady_clock::duration> wait_estimate::wait(double units) const {
  if (!seconds_a_unit_)
    return std::nullopt;
  const std::chrono::duration<double> time{std::min(units * *seconds_a_unit_, longest_seconds)};
  return std::chrono::round<steady_clock::duration>(time);
}

void wait_estimate::learn(double seconds_a_unit) {
  // The first says little: it is that of a small batch, and of an engine that has not warmed up.
  const double part = learnt_ <= 1 ? 1 : std::max(weight, 1 / static_cast<double>(learnt_));
  learnt_ = std::min(learnt_ + 1, most_counted);
  const auto before = seconds_a_unit_.value_or(0);
  seconds_a_unit_ = before + part * (seconds_a_unit - before);
}

}  // namespace troupe
