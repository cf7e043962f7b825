#include "actors/concurrency/clock.hpp"

#include <pthread.h>

#include <utility>

namespace troupe {

// -- timer_heap -------------------------------------------------------------------------------------------------------

void timer_heap::insert(timer& entry, steady_clock::time_point when) {
  entry.when_ = when;
  heap_.push_back(&entry);
  sift_up(heap_.size() - 1, &entry);
}

bool timer_heap::erase(timer& entry) noexcept {
  if (entry.place_ == timer::not_armed)
    return false;
  const auto hole = std::exchange(entry.place_, timer::not_armed);
  auto* last = heap_.back();
  heap_.pop_back();
  if (last == &entry)
    return true;
  if (hole > 0 && last->when_ < heap_[(hole - 1) / 2]->when_)
    sift_up(hole, last);
  else
    sift_down(hole, last);
  return true;
}

timer* timer_heap::pop_due(steady_clock::time_point now) noexcept {
  if (heap_.empty() || heap_.front()->when_ > now)
    return nullptr;
  auto* entry = heap_.front();
  erase(*entry);
  return entry;
}

void timer_heap::place(std::size_t index, timer* entry) noexcept {
  heap_[index] = entry;
  entry->place_ = index;
}

void timer_heap::sift_up(std::size_t index, timer* entry) noexcept {
  while (index > 0) {
    const auto parent = (index - 1) / 2;
    if (heap_[parent]->when_ <= entry->when_)
      break;
    place(index, heap_[parent]);
    index = parent;
  }
  place(index, entry);
}

void timer_heap::sift_down(std::size_t index, timer* entry) noexcept {
  for (auto child = 2 * index + 1; child < heap_.size(); child = 2 * index + 1) {
    if (child + 1 < heap_.size() && heap_[child + 1]->when_ < heap_[child]->when_)
      ++child;
    if (entry->when_ <= heap_[child]->when_)
      break;
    place(index, heap_[child]);
    index = child;
  }
  place(index, entry);
}

// -- clock ------------------------------------------------------------------------------------------------------------

void clock::arm(timer& entry, steady_clock::time_point when) {
  const std::lock_guard lock{mutex_};
  const auto before = timers_.next();
  timers_.erase(entry);
  if (when != no_deadline)
    timers_.insert(entry, when);
  if (timers_.next() != before)
    rearmed();
}

bool clock::disarm(timer& entry) noexcept {
  std::unique_lock lock{mutex_};
  const bool was_armed = timers_.erase(entry);
  if (firing_thread_ != std::this_thread::get_id())
    fired_.wait(lock, [&] { return firing_ != &entry; });
  return was_armed;
}

std::size_t clock::armed() const {
  const std::lock_guard lock{mutex_};
  return timers_.size();
}

void clock::fire_due(std::unique_lock<std::mutex>& lock, steady_clock::time_point now) {
  // One timer at a time: `disarm` has to know which one it may have to wait for.
  fired_.wait(lock, [this] { return !firing_; });
  while (auto* due = timers_.pop_due(now)) {
    firing_ = due;
    firing_thread_ = std::this_thread::get_id();
    lock.unlock();
    due->fire();
    lock.lock();
    firing_ = nullptr;
    firing_thread_ = {};
    fired_.notify_all();
  }
}

// -- the machine's clock ----------------------------------------------------------------------------------------------

namespace {

/// Goes on until the process is gone: threads that nobody waits for, such as those of abandoned work, may look at it
/// while what is static is destroyed. Its own thread touches nothing but the clock and the timers, which their owners
/// disarm.
class machine_clock final : public clock {
 public:
  steady_clock::time_point now() const noexcept override { return steady_clock::now(); }

 private:
  void rearmed() noexcept override {
    if (!has_thread_) {
      std::thread{[this] { run(); }}.detach();
      has_thread_ = true;
    }
    changed_.notify_one();
  }

  [[noreturn]] void run() {
    pthread_setname_np(pthread_self(), "timers");
    std::unique_lock lock{mutex_};
    for (;;) {
      // The lock is let go of while a timer fires, and much can be told meanwhile.
      fire_due(lock, steady_clock::now());
      if (timers_.next() == no_deadline)
        changed_.wait(lock);
      else
        changed_.wait_until(lock, timers_.next());
    }
  }

  std::condition_variable changed_;
  bool has_thread_ = false;
};

}  // namespace

clock& real_clock() {
  static auto& instance = *new machine_clock;
  return instance;
}

}  // namespace troupe
