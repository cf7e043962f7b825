#include "actors/execution/executor_pool.hpp"

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

/// What a job or a lease needs of its pool, which may be gone before it.
struct executor_pool::shared {
  explicit shared(std::size_t slots) : limiter(*capacity_limiter::make(static_cast<std::int64_t>(slots))) {}

  const capacity_limiter limiter;
  gate inside;  // jobs and leases
  std::atomic<std::size_t> queued = 0;
};

/// A job's way to a thread.
class executor_pool::job_work final : public pool_work {
 public:
  job_work(std::shared_ptr<pool_job> job, std::shared_ptr<shared> of)
      : pool_work({}, {}), job_(std::move(job)), shared_(std::move(of)) {
    shared_->queued.fetch_add(1, std::memory_order_relaxed);
  }

  /// It will not run.
  void refuse() noexcept {
    leave_queue();
    shared_->inside.leave();
  }

 private:
  void run() noexcept override {
    leave_queue();
    // What the job held is gone before the slot is free.
    std::exchange(job_, nullptr)->run();
  }
  void ended() noexcept override { shared_->inside.leave(); }

  /// For want of threads, of which there are as many as slots.
  void refused(error) noexcept override { refuse(); }

  void leave_queue() noexcept {
    shared_->queued.fetch_sub(1, std::memory_order_relaxed);
    job_->queued_.store(false, std::memory_order_release);
  }

  std::shared_ptr<pool_job> job_;
  const std::shared_ptr<shared> shared_;
};

executor_pool::executor_pool(std::string name, std::size_t slots)
    : name_(std::move(name)),
      slots_(std::max<std::size_t>(slots, 1)),
      shared_(std::make_shared<shared>(slots_)),
      threads_({.name = name_, .limiter = shared_->limiter, .kept_threads = slots_}) {}

executor_pool::~executor_pool() {
  close();
}

bool executor_pool::submit(std::shared_ptr<pool_job> job) {
  if (job->queued_.exchange(true, std::memory_order_acq_rel))
    return true;
  if (!shared_->inside.enter()) {
    job->queued_.store(false, std::memory_order_release);
    return false;
  }
  const auto work = std::make_shared<job_work>(std::move(job), shared_);
  if (threads_.submit(work, shared_->limiter))
    return true;
  work->refuse();
  return false;
}

std::optional<executor_pool::lease> executor_pool::try_lease(owner borrower) {
  if (!shared_->inside.enter())
    return std::nullopt;
  if (auto slot = shared_->limiter.acquire_if_free(borrower))
    return lease{*std::move(slot), shared_};
  shared_->inside.leave();
  return std::nullopt;
}

void executor_pool::close() {
  shared_->inside.close();
}

gate::drained_operation executor_pool::drained() const {
  return shared_->inside.drained();
}

bool executor_pool::contended() const noexcept {
  return shared_->queued.load(std::memory_order_relaxed) > 0;
}

executor_pool::statistics executor_pool::stats() const {
  return {slots_, shared_->limiter.stats().borrowed, shared_->queued, threads_.stats().finished};
}

executor_pool::lease::~lease() {
  if (!shared_)
    return;
  slot_.release();
  shared_->inside.leave();
}

}  // namespace troupe
