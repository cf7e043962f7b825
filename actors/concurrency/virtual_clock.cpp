#include "actors/concurrency/virtual_clock.hpp"

#include <algorithm>

namespace troupe {

steady_clock::time_point virtual_clock::now() const noexcept {
  const std::lock_guard lock{mutex_};
  return now_;
}

void virtual_clock::advance(steady_clock::duration step) {
  std::unique_lock lock{mutex_};
  const auto end = now_ + step;
  if (firing_here()) {
    now_ = end;  // what falls due by that fires from further out
    return;
  }
  while (timers_.next() <= std::max(now_, end))
    move_to(lock, timers_.next());
  now_ = std::max(now_, end);
}

bool virtual_clock::jump() {
  std::unique_lock lock{mutex_};
  if (timers_.next() == no_deadline || firing_here())
    return false;
  move_to(lock, timers_.next());
  return true;
}

void virtual_clock::move_to(std::unique_lock<std::mutex>& lock, steady_clock::time_point to) {
  now_ = std::max(now_, to);
  fire_due(lock, now_);
}

}  // namespace troupe
