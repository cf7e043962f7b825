#include "actors/execution/executor_pool.hpp"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

namespace troupe {
namespace {

class function_job final : public pool_job {
 public:
  explicit function_job(std::function<void()> work) : work_(std::move(work)) {}

  void run() noexcept override { std::exchange(work_, nullptr)(); }

 private:
  std::function<void()> work_;
};

}  // namespace

std::shared_ptr<pool_job> make_job(std::function<void()> work) {
  return std::make_shared<function_job>(std::move(work));
}

struct executor_pool::core {
  core(std::string pool_name, std::size_t threads) : name(std::move(pool_name)), slots(threads), working(threads) {}

  const std::string name;
  const std::size_t slots;
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<std::shared_ptr<pool_job>> queue;
  std::atomic<std::size_t> waiting = 0;  // what the queue holds, for contended()
  std::function<void()> on_idle;
  std::size_t busy = 0;
  std::size_t leased = 0;  // of those that are busy
  std::size_t working;     // threads that have not ended
  std::uint64_t finished = 0;
  bool closed = false;
};

executor_pool::executor_pool(std::string name, std::size_t slots)
    : core_(std::make_shared<core>(std::move(name), std::max<std::size_t>(slots, 1))) {
  try {
    for (std::size_t slot = 0; slot != core_->slots; ++slot)
      threads_.emplace_back([pool = core_, slot] { work(pool, slot); });
  } catch (...) {
    close();
    for (auto& thread : threads_)
      thread.join();
    throw;
  }
}

executor_pool::~executor_pool() {
  close();
  for (auto& thread : threads_)
    if (thread.get_id() == std::this_thread::get_id())
      thread.detach();
    else
      thread.join();
}

bool executor_pool::submit(std::shared_ptr<pool_job> job) {
  {
    const std::lock_guard lock{core_->mutex};
    if (core_->closed)
      return false;
    if (std::exchange(job->queued_, true))
      return true;
    core_->queue.push_back(std::move(job));
    core_->waiting = core_->queue.size();
  }
  core_->wake.notify_one();
  return true;
}

bool executor_pool::try_lease() {
  const std::lock_guard lock{core_->mutex};
  if (core_->closed || core_->busy == core_->slots || !core_->queue.empty())
    return false;
  ++core_->busy;
  ++core_->leased;
  return true;
}

void executor_pool::release() {
  // Once the slot is back the pool may go.
  const auto pool = core_;
  bool closed = false, waited_for = false;
  {
    const std::lock_guard lock{pool->mutex};
    --pool->busy;
    --pool->leased;
    closed = pool->closed;
    waited_for = !pool->queue.empty();
  }
  if (closed)
    pool->wake.notify_all();
  else if (waited_for)
    pool->wake.notify_one();
}

void executor_pool::close(std::function<void()> on_idle) {
  {
    const std::lock_guard lock{core_->mutex};
    if (core_->closed)
      return;
    core_->closed = true;
    core_->on_idle = std::move(on_idle);
  }
  core_->wake.notify_all();
}

bool executor_pool::contended() const noexcept {
  return core_->waiting.load(std::memory_order_relaxed) > 0;
}

const std::string& executor_pool::name() const noexcept {
  return core_->name;
}

executor_pool::statistics executor_pool::stats() const {
  const std::lock_guard lock{core_->mutex};
  return {core_->slots, core_->busy, core_->queue.size(), core_->finished};
}

void executor_pool::work(const std::shared_ptr<core>& pool, std::size_t slot) {
  const auto thread_name = pool->name.substr(0, 12) + "/" + std::to_string(slot);
  pthread_setname_np(pthread_self(), thread_name.substr(0, 15).c_str());
  std::unique_lock lock{pool->mutex};
  for (;;) {
    // A slot may be leased to a thread that is not the pool's; then one of the pool's stays idle.
    pool->wake.wait(lock,
                    [&] { return pool->queue.empty() ? pool->closed && pool->leased == 0 : pool->busy < pool->slots; });
    if (pool->queue.empty())
      break;
    auto job = std::move(pool->queue.front());
    pool->queue.pop_front();
    pool->waiting = pool->queue.size();
    job->queued_ = false;
    ++pool->busy;
    lock.unlock();
    job->run();
    job.reset();  // what it held is gone before the slot is free
    lock.lock();
    --pool->busy;
    ++pool->finished;
  }
  if (--pool->working > 0)
    return;
  const auto on_idle = std::exchange(pool->on_idle, nullptr);
  lock.unlock();
  if (on_idle)
    on_idle();
}

}  // namespace troupe
