#include "actors/execution/executor_pool.hpp"

#include <pthread.h>

#include <algorithm>
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

executor_pool::executor_pool(std::string name, std::size_t slots) : name_(std::move(name)) {
  slots = std::max<std::size_t>(slots, 1);
  working_ = slots;
  threads_.reserve(slots);
  for (std::size_t slot = 0; slot != slots; ++slot)
    threads_.emplace_back([this, slot] { work(slot); });
}

executor_pool::~executor_pool() {
  close();
}

bool executor_pool::submit(std::shared_ptr<pool_job> job) {
  {
    const std::lock_guard lock{mutex_};
    if (closed_)
      return false;
    if (std::exchange(job->queued_, true))
      return true;
    queue_.push_back(std::move(job));
    waiting_ = queue_.size();
  }
  wake_.notify_one();
  return true;
}

bool executor_pool::try_lease() {
  const std::lock_guard lock{mutex_};
  if (closed_ || busy_ == threads_.size() || !queue_.empty())
    return false;
  ++busy_;
  return true;
}

void executor_pool::release() {
  bool waited_for = false;
  {
    const std::lock_guard lock{mutex_};
    waited_for = busy_-- == threads_.size() && !queue_.empty();
  }
  if (waited_for)
    wake_.notify_one();
}

void executor_pool::close(std::function<void()> on_idle) {
  {
    const std::lock_guard lock{mutex_};
    if (closed_)
      return;
    closed_ = true;
    if (working_ > 0)
      on_idle_ = std::exchange(on_idle, nullptr);
  }
  wake_.notify_all();
  if (on_idle)
    on_idle();
}

executor_pool::statistics executor_pool::stats() const {
  const std::lock_guard lock{mutex_};
  return {threads_.size(), busy_, queue_.size(), finished_};
}

void executor_pool::work(std::size_t slot) {
  const auto thread_name = name_.substr(0, 12) + "/" + std::to_string(slot);
  pthread_setname_np(pthread_self(), thread_name.substr(0, 15).c_str());
  std::unique_lock lock{mutex_};
  for (;;) {
    // A slot may be leased to a thread that is not the pool's; then one of the pool's stays idle.
    wake_.wait(lock, [&] { return queue_.empty() ? closed_ : busy_ < threads_.size(); });
    if (queue_.empty())
      break;
    auto job = std::move(queue_.front());
    queue_.pop_front();
    waiting_ = queue_.size();
    job->queued_ = false;
    ++busy_;
    lock.unlock();
    job->run();
    job.reset();  // what it held is gone before the slot is free
    lock.lock();
    --busy_;
    ++finished_;
  }
  if (--working_ > 0)
    return;
  const auto on_idle = std::exchange(on_idle_, nullptr);
  lock.unlock();
  if (on_idle)
    on_idle();
}

}  // namespace troupe
