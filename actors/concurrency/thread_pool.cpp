#include "actors/concurrency/thread_pool.hpp"

#include <pthread.h>

#include <condition_variable>
#include <deque>
#include <list>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace troupe {
namespace {

/// The work of the calling thread, if it is a pool's.
thread_local pool_work* current = nullptr;

error pool_closed(const std::string& name) {
  return make_error(status_code::unavailable, "the thread pool '" + name + "' is closed");
}

error no_thread(const std::string& name, const std::system_error& why) {
  return make_error(status_code::resource_exhausted,
                    "the thread pool '" + name + "' can't have another thread: " + why.what(),
                    "allow the process more threads, or lower the limiter's total");
}

void name_thread(const std::string& name) {
  pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
}

}  // namespace

class thread_pool::core : public std::enable_shared_from_this<core> {
 public:
  explicit core(thread_pool_options options) : options_(std::move(options)) {}

  const std::string& name() const noexcept { return options_.name; }
  const capacity_limiter& limiter() const noexcept { return options_.limiter; }

  void make_kept_threads() {
    const std::lock_guard lock{mutex_};
    for (std::size_t made = 0; made != options_.kept_threads; ++made)
      make_thread();
  }

  /// Counts a piece of work in; false when the pool is closed.
  bool accept() {
    const std::lock_guard lock{mutex_};
    if (!closed_)
      ++accepted_;
    return !closed_;
  }

  /// Counts one out that never got a thread.
  void leave() {
    wake_list woken;
    const std::lock_guard lock{mutex_};
    count_out(woken);
  }

  /// Gives work that has its token to a thread, which is made if all are busy.
  expected<void> dispatch(std::shared_ptr<pool_work> work) {
    std::vector<std::thread> ended;
    {
      const std::lock_guard lock{mutex_};
      ended.swap(ended_);
      queue_.push_back(std::move(work));
      if (idle_ < queue_.size())
        try {
          make_thread();
        } catch (const std::system_error& e) {
          queue_.pop_back();
          return no_thread(options_.name, e);
        }
    }
    changed_.notify_one();
    for (auto& thread : ended)
      thread.join();
    return {};
  }

  void abandon(pool_work& work) {
    const std::lock_guard lock{mutex_};
    if (work.over_ || work.abandoned_)
      return;
    work.abandoned_ = true;
    ++abandoned_;
    notify_if_done();
  }

  void close() {
    const std::lock_guard lock{mutex_};
    closed_ = true;
    notify_if_done();
  }

  /// Once it is closed: waits for the threads, but for those whose work was abandoned.
  void join() {
    std::unique_lock lock{mutex_};
    thread_ended_.wait(lock, [this] { return threads_.size() == abandoned_; });
    for (auto& thread : threads_)
      thread.detach();
    auto ended = std::exchange(ended_, {});
    lock.unlock();
    for (auto& thread : ended)
      thread.join();
  }

  std::optional<expected<void>> wait_until_idle(pending<void>& who) {
    const std::lock_guard lock{mutex_};
    if (accepted_ == 0)
      return expected<void>{};
    until_idle_.push_back(who);
    return std::nullopt;
  }

  bool withdraw(pending<void>& who, error why) {
    const std::lock_guard lock{mutex_};
    return until_idle_.withdraw(who, std::move(why));
  }

  statistics stats() const {
    const std::lock_guard lock{mutex_};
    return {threads_.size(), idle_, accepted_, finished_};
  }

 private:
  using place = std::list<std::thread>::iterator;

  void make_thread() {
    const auto me = threads_.emplace(threads_.end());
    try {
      *me = std::thread{[self = shared_from_this(), me] { self->serve(me); }};
    } catch (...) {
      threads_.erase(me);
      throw;
    }
    ++idle_;
  }

  /// A thread's life.
  void serve(place me) {
    std::string name = options_.name;
    name_thread(name);
    while (const auto work = next(me)) {
      const bool runs = work->leave_waiting_for(pool_work::stage::begun);
      if (runs) {
        if (const auto& wanted = work->name_.empty() ? options_.name : work->name_; wanted != name)
          name_thread(name = wanted);
        current = work.get();
        work->run();
        current = nullptr;
      }
      finish(*work, runs);
    }
  }

  /// The next piece of work; null when the thread is to end.
  std::shared_ptr<pool_work> next(place me) {
    std::unique_lock lock{mutex_};
    while (queue_.empty()) {
      const bool late = !done() && changed_.wait_for(lock, options_.idle_time) == std::cv_status::timeout;
      if (queue_.empty() && (done() || (late && threads_.size() > options_.kept_threads))) {
        --idle_;
        end(me);
        return nullptr;
      }
    }
    auto work = std::move(queue_.front());
    queue_.pop_front();
    --idle_;
    return work;
  }

  /// The thread counts as idle before the token is given back, so that whoever gets that finds it.
  void finish(pool_work& work, bool ran) {
    {
      wake_list woken;
      const std::lock_guard lock{mutex_};
      ++idle_;
      finished_ += ran;
      work.over_ = true;
      if (work.abandoned_)
        --abandoned_;
      count_out(woken);
    }
    work.slot_.reset();
    if (ran)
      work.ended();
  }

  // What follows is done under the lock.

  /// Whether nothing is left to be done for anybody.
  bool done() const { return closed_ && accepted_ == abandoned_; }

  void notify_if_done() {
    if (!done())
      return;
    changed_.notify_all();
    thread_ended_.notify_all();
  }

  void count_out(wake_list& woken) {
    if (--accepted_ == 0)
      while (auto* who = until_idle_.pop_front())
        complete(static_cast<pending<void>&>(*who), expected<void>{}, woken);
    notify_if_done();
  }

  /// The calling thread will be joined by another one, unless nobody is left who would.
  void end(place me) {
    if (me->joinable())
      ended_.push_back(std::move(*me));
    threads_.erase(me);
    thread_ended_.notify_all();
  }

  const thread_pool_options options_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::condition_variable thread_ended_;
  std::deque<std::shared_ptr<pool_work>> queue_;  // what has its token and no thread yet
  std::list<std::thread> threads_;
  std::vector<std::thread> ended_;  // to be joined
  std::size_t idle_ = 0;            // threads that will look for work before they sleep or end
  std::size_t accepted_ = 0;
  std::size_t abandoned_ = 0;  // of those, and running
  std::uint64_t finished_ = 0;
  bool closed_ = false;
  wait_queue until_idle_;
};

// -- thread_pool ------------------------------------------------------------------------------------------------------

thread_pool::thread_pool(thread_pool_options options) : core_(std::make_shared<core>(std::move(options))) {
  try {
    core_->make_kept_threads();
  } catch (...) {
    core_->close();
    core_->join();
    throw;
  }
}

thread_pool::~thread_pool() {
  close();
  // Who destroys the pool from within can't wait for itself.
  if (current && current->pool_ == core_)
    core_->abandon(*current);
  core_->join();
}

expected<void> thread_pool::submit(const std::shared_ptr<pool_work>& work, const capacity_limiter& limiter) {
  if (!core_->accept())
    return pool_closed(core_->name());
  work->pool_ = core_;
  work->self_ = work;
  auto slot = work->asking_.emplace(limiter.acquire(owner{work.get()})).begin(*work);
  if (!slot)
    return {};
  work->self_.reset();
  auto given = *slot ? expected<void>{} : expected<void>{std::move(*slot).error()};
  if (given) {
    work->slot_.emplace(*std::move(*slot));
    given = core_->dispatch(work);
  }
  if (!given)
    work->drop();
  return given;
}

void thread_pool::close() {
  core_->close();
}

thread_pool::idle_operation thread_pool::idle() const {
  return idle_operation{core_};
}

const capacity_limiter& thread_pool::limiter() const noexcept {
  return core_->limiter();
}

thread_pool::statistics thread_pool::stats() const {
  return core_->stats();
}

std::optional<expected<void>> thread_pool::idle_operation::begin(pending<void>& who) {
  return core_->wait_until_idle(who);
}

bool thread_pool::idle_operation::abandon(pending<void>& who, error why) {
  return core_->withdraw(who, std::move(why));
}

// -- pool_work --------------------------------------------------------------------------------------------------------

bool pool_work::withdraw() {
  if (!leave_waiting_for(stage::withdrawn))
    return false;
  // Whoever has given it a token meanwhile, or a thread, finds it withdrawn and lets it go.
  const auto self = shared_from_this();
  if (asking_ && asking_->abandon(*this, make_error(status_code::cancelled, "withdrawn"))) {
    self_.reset();
    pool_->leave();
  }
  return true;
}

void pool_work::abandon() {
  pool_->abandon(*this);
}

bool pool_work::leave_waiting_for(stage next) noexcept {
  auto now = stage::waiting;
  return stage_.compare_exchange_strong(now, next, std::memory_order_acq_rel);
}

/// The limiter has a token for it.
void pool_work::wake() noexcept {
  const auto self = std::move(self_);
  slot_.emplace(*std::move(*result));
  if (stage_.load(std::memory_order_acquire) == stage::withdrawn) {
    drop();
  } else if (auto given = pool_->dispatch(self); !given) {
    drop();
    if (leave_waiting_for(stage::withdrawn))
      refused(std::move(given).error());
  }
}

void pool_work::drop() {
  slot_.reset();
  pool_->leave();
}

expected<void> check_cancelled() {
  if (!current)
    return make_error(status_code::failed_precondition, "the calling thread does not work for a thread pool",
                      "look at the token of the work instead");
  return current->token_.check();
}

cancel_token work_token() {
  return current && !current->abandoned_ ? current->token_ : cancel_token{};
}

}  // namespace troupe
