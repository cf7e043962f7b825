#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>
#include <vector>

namespace troupe {

/// The clock of deadlines and timers: monotonic, so that nobody who sets the time of day changes what waits.
using steady_clock = std::chrono::steady_clock;

/// The deadline of what has none.
inline constexpr auto no_deadline = steady_clock::time_point::max();

class clock;

/// Something that happens at a point in time unless it is taken back before. Belongs to whoever arms it, and must be
/// disarmed before it is destroyed.
class timer {
 public:
  timer() = default;
  virtual ~timer() = default;
  timer(const timer&) = delete;
  timer& operator=(const timer&) = delete;

  /// Called once, from the clock's thread, with no lock held. Must be short and must not block.
  virtual void fire() noexcept = 0;

 private:
  friend class timer_heap;
  static constexpr std::size_t not_armed = static_cast<std::size_t>(-1);

  steady_clock::time_point when_;
  std::size_t place_ = not_armed;
};

/// The timers of a clock, the earliest on top. Arming and disarming take logarithmic time and no memory of their own.
/// Not thread-safe.
class timer_heap {
 public:
  void insert(timer& entry, steady_clock::time_point when);

  /// True when it was in.
  bool erase(timer& entry) noexcept;

  /// Takes out the earliest one, if its time is at or before `now`; null otherwise.
  timer* pop_due(steady_clock::time_point now) noexcept;

  /// When the earliest one is due; `no_deadline` when there is none.
  steady_clock::time_point next() const noexcept { return heap_.empty() ? no_deadline : heap_.front()->when_; }

  std::size_t size() const noexcept { return heap_.size(); }

 private:
  void place(std::size_t index, timer* entry) noexcept;
  void sift_up(std::size_t index, timer* entry) noexcept;
  void sift_down(std::size_t index, timer* entry) noexcept;

  std::vector<timer*> heap_;
};

/// Where time comes from. Everything that waits takes its clock from the scope it waits in, so that tests replace time
/// by a `virtual_clock`. Thread-safe.
class clock {
 public:
  virtual ~clock() = default;

  virtual steady_clock::time_point now() const noexcept = 0;

  /// Has `entry` fire at `when`, never at `no_deadline`, and when that has passed already, the next time that the clock
  /// looks: whoever can't wait for that asks for the time once more after arming. An armed timer is moved.
  void arm(timer& entry, steady_clock::time_point when);

  /// Takes a timer back. Once this has returned the timer will not fire and does not run, unless this was called from
  /// within its own `fire()`. True when it had been armed and did not fire.
  bool disarm(timer& entry) noexcept;

  /// The number of timers that are armed.
  std::size_t armed() const;

 protected:
  /// True while the calling thread is within a timer's `fire()`. Under the mutex.
  bool firing_here() const noexcept { return firing_ && firing_thread_ == std::this_thread::get_id(); }

  /// Fires all that is due at `now`, one after the other, in the order of their times. Not from within `fire()`.
  void fire_due(std::unique_lock<std::mutex>& lock, steady_clock::time_point now);

  /// Called under the mutex when the time of the earliest timer has changed.
  virtual void rearmed() noexcept = 0;

  mutable std::mutex mutex_;
  timer_heap timers_;

 private:
  const timer* firing_ = nullptr;
  std::thread::id firing_thread_;
  std::condition_variable fired_;
};

/// The machine's steady clock, which is never destroyed. One thread wakes its timers, from the first of them on.
clock& real_clock();

}  // namespace troupe
