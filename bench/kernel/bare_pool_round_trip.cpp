// The limit of a pool's round trip: threads, a mutex and condition variables, and nothing that could be cancelled,
// counted or bounded. A thread has the pool do something, waits for the result, and again.

#include "bench/kernel/stopwatch.hpp"

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace troupe::bench {

namespace {

class pool {
 public:
  explicit pool(unsigned threads) {
    for (unsigned i = 0; i != threads; ++i)
      threads_.emplace_back([this] { work(); });
  }

  ~pool() {
    const std::lock_guard lock{mutex_};
    ended_ = true;
    changed_.notify_all();
  }

  void run(std::function<void()> job) {
    const std::lock_guard lock{mutex_};
    jobs_.push_back(std::move(job));
    changed_.notify_one();
  }

 private:
  void work() {
    std::unique_lock lock{mutex_};
    for (;;) {
      changed_.wait(lock, [this] { return ended_ || !jobs_.empty(); });
      if (jobs_.empty())
        return;
      auto job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool ended_ = false;
  std::deque<std::function<void()>> jobs_;
  std::vector<std::jthread> threads_;
};

/// A result that is waited for.
class answer {
 public:
  void set(std::uint64_t value) {
    const std::lock_guard lock{mutex_};
    value_ = value;
    there_ = true;
    changed_.notify_one();
  }

  std::uint64_t get() {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [this] { return there_; });
    return value_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool there_ = false;
  std::uint64_t value_ = 0;
};

}  // namespace

figures bare_pool_round_trip(const case_options& options) {
  pool workers{executor_threads};
  std::uint64_t done = 0;
  const stopwatch watch;
  for (std::uint64_t i = 0; i != options.items; ++i) {
    answer next;
    workers.run([&] { next.set(done + 1); });
    done = next.get();
  }
  auto result = watch.stop(options.items);
  if (done != options.items)
    throw failure{"of " + std::to_string(options.items) + " jobs " + std::to_string(done) + " were done"};
  return result;
}

}  // namespace troupe::bench
