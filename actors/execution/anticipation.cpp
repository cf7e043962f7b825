#include "actors/execution/anticipation.hpp"

#include <algorithm>

namespace troupe {
namespace {

using namespace std::chrono_literals;

/// How long it is waited: this part of what the batch took, so that what is lost when nobody comes is bounded by what
/// is won when they do; and never longer than a client on the same network takes.
constexpr int part_of_batch = 4;
constexpr steady_clock::duration longest = 2ms;

/// Less than this is no wait: the clock is no more exact.
constexpr steady_clock::duration shortest = 100us;

/// It is waited while at least so many come, and an observation replaces that part of what is believed.
constexpr double enough = 0.5;
constexpr double weight = 0.2;

}  // namespace

void anticipation::ended(steady_clock::duration took) noexcept {
  wait_ = std::min(took / part_of_batch, longest);
}

void anticipation::answered(std::size_t count, steady_clock::time_point now) {
  if (count == 0 || wait_ < shortest)
    return;
  // Those of a batch that has ended a moment ago are still waited for.
  if (now >= until_)
    close();
  expected_ += count;
  until_ = now + wait_;
}

void anticipation::came(steady_clock::time_point now) {
  if (expected_ == 0)
    return;
  if (now < until_)
    ++came_;
  if (now >= until_ || came_ >= expected_)
    close();
}

steady_clock::time_point anticipation::until() const noexcept {
  return expected_ != 0 && share_ >= enough ? until_ : steady_clock::time_point::min();
}

void anticipation::close() {
  if (expected_ != 0)
    share_ += weight * (static_cast<double>(came_) / static_cast<double>(expected_) - share_);
  expected_ = 0;
  came_ = 0;
  until_ = steady_clock::time_point::min();
}

}  // namespace troupe
