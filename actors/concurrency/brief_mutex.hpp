#pragma once

#include <mutex>
#include <thread>

namespace troupe {

/// A mutex for a handful of instructions: whoever finds it locked lets others run and looks again a few times before it
/// sleeps, because to fall asleep and to be woken takes a hundred times as long as what it waits for.
class brief_mutex {
 public:
  void lock() {
    for (int looks = 0; looks != looks_before_sleep; ++looks, std::this_thread::yield())
      if (mutex_.try_lock())
        return;
    mutex_.lock();
  }

  bool try_lock() { return mutex_.try_lock(); }
  void unlock() { mutex_.unlock(); }

 private:
  // Measured with bench/kernel: from two on there is no difference, up to a hundred.
  static constexpr int looks_before_sleep = 8;

  std::mutex mutex_;
};

}  // namespace troupe
