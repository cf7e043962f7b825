#pragma once

#include "actors/concurrency/clock.hpp"

#include <algorithm>
#include <functional>
#include <utility>

namespace troupe {

/// A deadline that is moved with every request and almost never passes. Moving it costs a comparison: the clock's timer
/// stays where it was and looks again when it fires; only an earlier deadline sets it anew. Used on one strand.
class deadline_alarm final : private timer {
 public:
  /// `on_fire` is called by the clock's thread, and has `passed()` called on the strand.
  deadline_alarm(clock& by, std::function<void()> on_fire) : clock_(by), on_fire_(std::move(on_fire)) {}
  ~deadline_alarm() override { clock_.disarm(*this); }

  void set(steady_clock::duration time) {
    const auto now = clock_.now();
    deadline_ = time < no_deadline - now ? now + time : no_deadline;
    if (deadline_ < armed_)
      arm();
  }

  void clear() noexcept { deadline_ = no_deadline; }

  /// True when the deadline is over, and cleared by that. The timer goes on otherwise.
  bool passed() {
    armed_ = no_deadline;
    if (deadline_ <= clock_.now()) {
      clear();
      return true;
    }
    if (deadline_ != no_deadline)
      arm();
    return false;
  }

 private:
  void arm() {
    armed_ = deadline_;
    clock_.arm(*this, armed_);
    // What has passed while the timer was set, the clock may not look at again.
    if (armed_ <= clock_.now())
      fire();
  }

  void fire() noexcept override { on_fire_(); }

  clock& clock_;
  const std::function<void()> on_fire_;
  steady_clock::time_point deadline_ = no_deadline;
  steady_clock::time_point armed_ = no_deadline;
};

}  // namespace troupe
