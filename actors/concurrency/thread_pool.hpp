#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/concurrency/capacity_limiter.hpp"
#include "actors/concurrency/outcome.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace troupe {

class pool_work;

struct thread_pool_options {
  std::string name = "worker";  ///< of the threads; 15 bytes of it show

  /// How many may work at once, those included whose callers have left. AnyIO's default is 40, too.
  capacity_limiter limiter = *capacity_limiter::make(40);

  std::chrono::milliseconds idle_time = std::chrono::seconds{10};  ///< how long a thread without work is kept

  /// Threads that are made at once and kept, however idle.
  std::size_t kept_threads = 0;
};

/// How one call into the pool is made.
struct run_options {
  std::string name = {};  ///< of the thread while it works; the pool's when empty

  /// What a cancellation does to work that has begun. False: the caller waits for its end and gets its result. True:
  /// the caller gets the cancellation at once, the work goes on without it, and what it comes to is dropped.
  bool abandon_on_cancel = false;

  std::optional<capacity_limiter> limiter = std::nullopt;  ///< in place of the pool's
};

/// For default arguments. Had they braces there, GCC 12 would destroy what they make twice within a `co_await`.
inline run_options default_run_options() {
  return {};
}

/// Threads for functions that block, made as they are needed and used again. A function waits for a token of the
/// limiter, then runs, and gives the token back when it has really ended. Thread-safe.
class thread_pool {
 public:
  struct statistics {
    std::size_t threads;
    std::size_t idle;        ///< of those
    std::size_t accepted;    ///< pieces of work that wait or run
    std::uint64_t finished;  ///< pieces of work that ran
  };

  template <class Function>
  class run_operation;
  class idle_operation;

  /// Throws std::system_error when the threads to be kept can't be made.
  explicit thread_pool(thread_pool_options options = {});

  /// Closes the pool and waits for what it has accepted, but not for what was abandoned. One of its own threads may be
  /// the one that destroys it.
  ~thread_pool();

  thread_pool(const thread_pool&) = delete;
  thread_pool& operator=(const thread_pool&) = delete;

  /// Runs `work()` or `work(token)` in a thread and waits for what it returns, a `T` or an `expected<T>`. What it
  /// throws is INTERNAL. `token` is the one that is then waited under: cancelled before the work has begun, the work
  /// never runs; afterwards see `run_options`. RESOURCE_EXHAUSTED when there are no more threads, UNAVAILABLE when the
  /// pool is closed.
  template <class Function>
  run_operation<Function> run(Function work, cancel_token token, run_options options = default_run_options());

  /// For those who bring their own kind of work. Takes it to a thread as soon as `limiter` lets it; then exactly one of
  /// its functions is called, unless it is withdrawn. With an error, none is.
  expected<void> submit(const std::shared_ptr<pool_work>& work, const capacity_limiter& limiter);

  /// Accepts no more. What was accepted still runs.
  void close();

  /// Waits until nothing that was accepted waits or runs, what was abandoned included.
  idle_operation idle() const;

  const capacity_limiter& limiter() const noexcept;
  statistics stats() const;

 private:
  friend class pool_work;
  class core;

  const std::shared_ptr<core> core_;
};

/// A piece of work on its way through a pool.
class pool_work : private pending<capacity_limiter::token>, public std::enable_shared_from_this<pool_work> {
 public:
  /// `name` is the thread's while the work runs; `token` is what `work_token()` gives meanwhile.
  pool_work(std::string name, cancel_token token) : name_(std::move(name)), token_(std::move(token)) {}

  /// Keeps work that has not begun from ever running; false when it has begun.
  bool withdraw();

  /// Says that nobody waits any more for work that has begun. The pool's end doesn't wait for it either.
  void abandon();

 protected:
  const cancel_token& token() const noexcept { return token_; }

 private:
  friend class thread_pool;
  friend class thread_pool::core;
  friend cancel_token work_token();
  friend expected<void> check_cancelled();

  /// The work itself, on the pool's thread.
  virtual void run() noexcept = 0;

  /// The work has ended, what it held is gone, and its token is given back.
  virtual void ended() noexcept = 0;

  /// The work will never run.
  virtual void refused(error why) noexcept = 0;

  enum class stage : std::uint8_t { waiting, begun, withdrawn };

  /// Moves from waiting to `next`, unless somebody else has moved it on.
  bool leave_waiting_for(stage next) noexcept;
  void wake() noexcept final;

  /// Leaves the pool without having had a thread.
  void drop();

  const std::string name_;
  const cancel_token token_;
  std::atomic<stage> stage_ = stage::waiting;
  std::atomic<bool> abandoned_ = false;  // written under the pool's lock, as is the next
  bool over_ = false;
  std::shared_ptr<thread_pool::core> pool_;
  std::optional<capacity_limiter::acquire_operation> asking_;
  std::optional<capacity_limiter::token> slot_;
  std::shared_ptr<pool_work> self_;  // while it waits for the limiter
};

/// Within work of a pool: OK, or why the work is not wanted any more, whether or not it was abandoned. Anywhere else:
/// FAILED_PRECONDITION.
expected<void> check_cancelled();

/// Within work of a pool: the token that it was started under, which an abandoned one has no more. Anywhere else one
/// that is never cancelled.
cancel_token work_token();

/// Waits until nothing in a pool waits or runs.
class thread_pool::idle_operation {
 public:
  using result_type = void;

  explicit idle_operation(std::shared_ptr<core> of) : core_(std::move(of)) {}

  std::optional<expected<void>> begin(pending<void>& who);
  bool abandon(pending<void>& who, error why);

 private:
  std::shared_ptr<core> core_;
};

namespace detail {

template <class Function>
using work_result_t =
    outcome_t<decltype(call_with_token(std::declval<Function&>(), std::declval<const cancel_token&>()))>;

/// A function that somebody waits for.
template <class Function>
class function_work final : public pool_work {
 public:
  using result_type = work_result_t<Function>;
  using caller = troupe::pending<result_type>;

  function_work(Function function, cancel_token token, run_options options)
      : pool_work(std::move(options.name), std::move(token)),
        function_(std::move(function)),
        abandon_on_cancel_(options.abandon_on_cancel) {}

  void expect(caller& who) noexcept { who_ = &who; }

  /// As an operation's `abandon()`; `gone`: the waiter itself is.
  bool give_up(caller& who, error why, bool gone) {
    if (!withdraw()) {
      if (!abandon_on_cancel_ && !gone)
        return false;
      if (told_.exchange(true))
        return false;
      this->abandon();
    }
    who.result.emplace(std::move(why));
    return true;
  }

 private:
  void run() noexcept override {
    // The function goes before its slot does: an idle thread keeps nothing of it.
    auto function = std::exchange(function_, std::nullopt);
    result_.emplace(contained([&]() -> decltype(auto) { return call_with_token(*function, token()); }));
  }

  void ended() noexcept override { tell(*std::move(result_)); }
  void refused(error why) noexcept override { tell(std::move(why)); }

  void tell(expected<result_type> what) noexcept {
    if (told_.exchange(true))
      return;
    who_->result.emplace(std::move(what));
    who_->wake();
  }

  std::optional<Function> function_;
  std::optional<expected<result_type>> result_;
  const bool abandon_on_cancel_;
  caller* who_ = nullptr;
  std::atomic<bool> told_ = false;
};

}  // namespace detail

template <class Function>
class thread_pool::run_operation {
 public:
  using result_type = detail::work_result_t<Function>;

  run_operation(thread_pool& pool, Function function, cancel_token token, run_options options)
      : pool_(&pool),
        limiter_(options.limiter.value_or(pool.limiter())),
        work_(std::make_shared<detail::function_work<Function>>(std::move(function), std::move(token),
                                                                std::move(options))) {}

  std::optional<expected<result_type>> begin(pending<result_type>& who) {
    work_->expect(who);
    if (auto submitted = pool_->submit(work_, limiter_); !submitted)
      return std::move(submitted).error();
    return std::nullopt;
  }
  bool abandon(pending<result_type>& who, error why) { return work_->give_up(who, std::move(why), false); }
  bool forget(pending<result_type>& who) { return work_->give_up(who, {}, true); }

 private:
  thread_pool* pool_;
  capacity_limiter limiter_;
  std::shared_ptr<detail::function_work<Function>> work_;
};

template <class Function>
thread_pool::run_operation<Function> thread_pool::run(Function work, cancel_token token, run_options options) {
  return {*this, std::move(work), std::move(token), std::move(options)};
}

}  // namespace troupe
