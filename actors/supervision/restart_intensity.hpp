#pragma once

#include <chrono>
#include <cstdint>
#include <deque>

namespace troupe {

/// Tells restarts that are bad luck from restarts that lead nowhere: more than `intensity` of them within `period` is
/// too much. Keeps the times of no more than `intensity` + 1 of them.
class restart_intensity {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  /// Counts a restart at `now`. True when that was one too many.
  bool add(time_point now, std::int64_t intensity, std::chrono::milliseconds period) {
    while (!times_.empty() && now - times_.front() > period)
      times_.pop_front();
    times_.push_back(now);
    while (static_cast<std::int64_t>(times_.size()) > intensity + 1)
      times_.pop_front();
    return static_cast<std::int64_t>(times_.size()) > intensity;
  }

 private:
  std::deque<time_point> times_;
};

}  // namespace troupe
