#pragma once

#include "actors/concurrency/stream.hpp"
#include "actors/concurrency/thread_pool.hpp"
#include "actors/concurrency/wait.hpp"
#include "actors/supervision/coroutine_task.hpp"

#include <boost/asio/io_context.hpp>

#include <atomic>
#include <memory>

namespace troupe {

/// True on the threads that a `runtime` runs its actors and coroutines in, which must not wait for them.
bool on_runtime_thread() noexcept;

namespace detail {

/// Makes the calling thread one of those.
void mark_runtime_thread() noexcept;

inline error portal_is_closed() {
  return make_error(status_code::unavailable, "the portal is closed", "call while what it leads to is running");
}

/// The task's own error in place of the one that its handle tells, whose part it is.
template <class T>
expected<T> unwrapped(expected<T> result) {
  if (result || result.error().parts.empty())
    return result;
  return expected<T>{result.error().parts.front()};
}

/// Where the tasks of a closed portal run: nowhere.
struct closed_portal {};

}  // namespace detail

template <>
struct task_launcher<detail::closed_portal> {
  template <class Function>
  using result = task_launcher<boost::asio::io_context::executor_type>::result<Function>;

  template <class Function>
  static void launch(detail::closed_portal, const Function&, task_promise<result<Function>> promise) {
    promise.finish(detail::portal_is_closed());
  }
};

template <class Value>
class entered_resource;

/// The door for threads that the runtime knows nothing of: what they call runs as tasks on the runtime's executor. A
/// task that fails concerns its caller alone. Whatever happens nobody is left waiting: a portal that is closed refuses
/// with UNAVAILABLE, and one that is left has no tasks any more. Thread-safe.
///
/// What is called is what an executor's tasks are made of (coroutine_task.hpp): a coroutine or a function, with the
/// task's token as its parameter or without.
class portal {
 public:
  using executor_type = boost::asio::io_context::executor_type;

  /// `executor` stays there until the portal is closed and left.
  portal(executor_type executor, const cancel_token& parent)
      : executor_(std::move(executor)), tasks_(parent, {.on_failure = task_failure_policy::isolate}) {}

  /// Calls `function` there and waits for what it comes to. `token` is the caller's: cancelled, the call is, too, and
  /// its reason is the answer; in work of a thread pool it is that work's, unless that was abandoned. CANCELLED when
  /// the call was cancelled from elsewhere; FAILED_PRECONDITION on a thread of the runtime, which would wait for
  /// itself.
  template <class Function>
  auto call(Function function, const cancel_token& token = work_token()) {
    using result = expected<typename launcher::template result<Function>>;
    if (auto usable = check(); !usable)
      return result{std::move(usable).error()};
    if (token.cancelled())
      return result{token.reason()};
    const auto task = tasks_.start_soon(executor_, std::move(function));
    const std::stop_callback cancel{token.stop(), [&] { task.cancel(token.reason()); }};
    return outcome(task, wait(task.get(), {}), token);
  }

  /// Starts `function` there and doesn't wait: the handle is the future. In the order of the calls. Where the portal is
  /// closed the task has failed with UNAVAILABLE.
  template <class Function>
  auto start_soon(Function function, task_options options = default_task_options()) {
    if (closed_)
      return tasks_.start_soon(detail::closed_portal{}, std::move(function), std::move(options));
    return tasks_.start_soon(executor_, std::move(function), std::move(options));
  }

  /// Starts `function(token, ready)` there and waits until it is ready: see `task_group::start`.
  template <class Value = std::monostate, class Function>
  auto start(Function function, const cancel_token& token = work_token(),
             task_options options = default_task_options()) {
    auto starting = tasks_.start<Value>(executor_, std::move(function), token, std::move(options));
    using result = expected<typename decltype(starting)::result_type>;
    if (auto usable = check(); !usable)
      return result{std::move(usable).error()};
    return wait(starting, token);
  }

  /// Enters a resource that lives there: `function(token, ready, left)` gets it, says `ready(value)`, receives from
  /// `left` how its user came out, lets it go, and returns what its user is to have come to.
  template <class Value, class Function>
  expected<entered_resource<Value>> enter(Function function, const cancel_token& token = work_token());

  /// Accepts no more. With `cancel_remaining` what goes on is cancelled.
  void close(bool cancel_remaining = false) {
    closed_ = true;
    if (cancel_remaining)
      tasks_.scope().cancel(make_error(status_code::cancelled, "the portal was closed"));
  }

  /// Closes it and waits for its tasks, which are cancelled if `outcome` is an error.
  task_group::leave_operation leave(expected<void> outcome = {}) {
    close();
    return tasks_.leave(std::move(outcome));
  }

  task_group::statistics stats() const { return tasks_.stats(); }

 private:
  using launcher = task_launcher<executor_type>;

  /// The executor may be gone once the portal is closed, and is not asked then.
  expected<void> check() const {
    if (closed_)
      return detail::portal_is_closed();
    if (on_runtime_thread() || executor_.running_in_this_thread())
      return make_error(status_code::failed_precondition, "a thread of the runtime would wait for itself",
                        "await what is to be called, or start it in a task group");
    return {};
  }

  /// A task that was refused because the group was left meanwhile is one of a closed portal; one that the caller's
  /// cancellation ended gives that back to the caller's scope.
  template <class T>
  static expected<T> outcome(const task_handle<T>& task, expected<T> result, const cancel_token& token) {
    if (task.status() == task_status::cancelled && token.cancelled())
      return token.reason();
    return detail::unwrapped(std::move(result));
  }

  const executor_type executor_;
  task_group tasks_;
  std::atomic<bool> closed_ = false;
};

/// A resource on the other side of a portal, for as long as this lives. Move-only.
template <class Value>
class entered_resource {
 public:
  entered_resource(Value value, task_handle<void> task, send_half<expected<void>> left)
      : value_(std::move(value)), task_(std::move(task)), left_(std::move(left)) {}
  entered_resource(entered_resource&& other) noexcept
      : value_(std::move(other.value_)),
        task_(std::exchange(other.task_, std::nullopt)),
        left_(std::move(other.left_)) {}
  entered_resource& operator=(entered_resource&&) = delete;
  ~entered_resource() {
    if (task_)
      (void)leave();
  }

  Value& operator*() noexcept { return value_; }
  Value* operator->() noexcept { return &value_; }

  /// Leaves it, saying how its user came out, and waits until it is gone; what the resource makes of that.
  expected<void> leave(expected<void> outcome = {}) {
    (void)left_.try_send(std::move(outcome));
    return detail::unwrapped(wait(task_->get(), {}));
  }

 private:
  Value value_;
  std::optional<task_handle<void>> task_;  // none in one that was moved from
  send_half<expected<void>> left_;
};

template <class Value, class Function>
expected<entered_resource<Value>> portal::enter(Function function, const cancel_token& token) {
  auto [sender, receiver] = *make_stream<expected<void>>(1);
  auto started =
      start<Value>([function = std::move(function), left = std::move(receiver)](
                       const cancel_token& own, const task_ready<Value>& ready) { return function(own, ready, left); },
                   token);
  if (!started)
    return std::move(started).error();
  return entered_resource<Value>{std::move(started->start_value), std::move(started->task), std::move(sender)};
}

}  // namespace troupe
