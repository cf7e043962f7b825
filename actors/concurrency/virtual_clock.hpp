#pragma once

#include "actors/concurrency/clock.hpp"

namespace troupe {

/// A clock whose time passes only when it is told to, so that what depends on time is tested exactly and in
/// microseconds. Timers fire on the thread that moves the time. Thread-safe.
class virtual_clock final : public clock {
 public:
  virtual_clock() = default;
  explicit virtual_clock(steady_clock::time_point begin) : now_(begin) {}

  steady_clock::time_point now() const noexcept override;

  /// Moves time on by `step`, and fires what falls due on the way, each at its own time. From within a timer it moves
  /// time only.
  void advance(steady_clock::duration step);

  /// Jumps to the next timer and fires what is due then; false when there is none. For when everything is idle.
  bool jump();

 private:
  void rearmed() noexcept override {}
  void move_to(std::unique_lock<std::mutex>& lock, steady_clock::time_point to);

  steady_clock::time_point now_{};
};

}  // namespace troupe
