#pragma once

#include "actors/supervision/task.hpp"

#include <stop_token>
#include <variant>

namespace troupe {

/// How a function becomes a task, by where it is to run. Specialised beside what knows of such a place: a thread_pool
/// (pool_task.hpp), an Asio executor (coroutine_task.hpp), a caf::actor_system (actor_task.hpp).
///
///     template <class Function> using result = …;                                           // the T of the task
///     static void launch(Where& where, Function function, task_promise<T> promise);
template <class Where>
struct task_launcher;

/// A task that has said that it is ready, and with what: `std::monostate` where that is nothing.
template <class Value, class T>
struct started_task {
  task_handle<T> task;
  Value start_value;
};

namespace detail {

/// The start of a task that must say when it is ready, as the task sees it.
template <class Value>
class start_state : public task_starter {
 public:
  virtual expected<void> ready(Value value) = 0;
};

/// The same as whoever waits for it sees it.
template <class Value, class T>
class task_start final : public start_state<Value> {
 public:
  using result_type = started_task<Value, T>;
  using caller = troupe::pending<result_type>;

  explicit task_start(cancel_token token) : token_(std::move(token)) {}

  const cancel_token& token() const noexcept { return token_; }

  void begin(caller& who, std::shared_ptr<task_state<T>> task) {
    who_ = &who;
    task_ = std::move(task);
    on_cancel_.emplace(token_.stop(), forward{this});
  }

  /// The caller is gone.
  bool forget() {
    {
      const std::lock_guard lock{mutex_};
      if (!std::exchange(who_, nullptr))
        return false;
    }
    task_->cancel(make_error(status_code::cancelled, "whoever started the task is gone"));
    return true;
  }

  expected<void> ready(Value value) override {
    // A deadline of the caller's that passes now has passed in time.
    task_->set_deadline(no_deadline);
    const bool cancelled = token_.cancelled() || task_->was_cancelled();
    caller* who = nullptr;
    {
      const std::lock_guard lock{mutex_};
      if (std::exchange(said_, true))
        return make_error(status_code::failed_precondition,
                          "task '" + task_->name() + "' has said before that it is ready");
      if (cancelled || forwarded_ || !who_)
        return {};
      who = std::exchange(who_, nullptr);
      is_ready_ = true;
      who->result.emplace(result_type{task_handle<T>{task_}, std::move(value)});
    }
    on_cancel_.reset();
    task_->join_group();
    who->wake();
    return {};
  }

  bool task_ended(const error* why, bool cancelled) noexcept override {
    // Outside the lock, which looking at the token may come to need.
    auto result = why_not_ready(cancelled ? nullptr : why);
    caller* who = nullptr;
    {
      const std::lock_guard lock{mutex_};
      if (is_ready_)
        return false;
      who = std::exchange(who_, nullptr);
      if (who)
        who->result.emplace(std::move(result));
    }
    on_cancel_.reset();
    if (who)
      who->wake();
    return true;
  }

 private:
  struct forward {
    void operator()() const { start->on_cancel(); }
    task_start* start;
  };

  /// The caller was cancelled, and so is the task, unless it is ready: then it is the group's.
  void on_cancel() {
    {
      const std::lock_guard lock{mutex_};
      if (is_ready_)
        return;
      forwarded_ = true;
    }
    // What was started may end by this, and this go with it.
    const auto task = task_;
    task->cancel(token_.reason());
  }

  error why_not_ready(const error* failure) const {
    if (failure)
      return *failure;
    if (token_.cancelled())
      return token_.reason();
    return make_error(status_code::failed_precondition,
                      "task '" + task_->name() + "' has ended without having said that it is ready",
                      "call ready() in the task, or start it by start_soon()");
  }

  const cancel_token token_;
  std::shared_ptr<task_state<T>> task_;
  std::mutex mutex_;
  caller* who_ = nullptr;
  bool said_ = false;
  bool is_ready_ = false;
  bool forwarded_ = false;
  std::optional<std::stop_callback<forward>> on_cancel_;
};

}  // namespace detail

/// By which a task says that it is ready, with a value or without. OK also when nobody wants to know any more;
/// FAILED_PRECONDITION the second time. Copies say the same. Thread-safe.
template <class Value>
class task_ready {
 public:
  explicit task_ready(std::shared_ptr<detail::start_state<Value>> of) : state_(std::move(of)) {}

  expected<void> operator()(Value value) const { return state_->ready(std::move(value)); }

  expected<void> operator()() const requires std::same_as<Value, std::monostate> { return state_->ready({}); }

 private:
  std::shared_ptr<detail::start_state<Value>> state_;
};

/// A function with its way to say that it is ready.
template <class Function, class Value>
struct starting_function {
  Function function;
  task_ready<Value> ready;

  auto operator()(
      const cancel_token& token) requires std::invocable<Function&, const cancel_token&, task_ready<Value>> {
    return function(token, ready);
  }
};

/// Starts a task and waits until it is ready: see `task_group::start`.
template <class Value, class Where, class Function>
class start_operation {
 public:
  using ready = task_ready<Value>;

  using bound = starting_function<Function, Value>;

  using launcher = task_launcher<Where>;
  using value_type = typename launcher::template result<bound>;
  using result_type = started_task<Value, value_type>;

  // An executor is a handle, and may be gone before this begins; a pool or a system can't be copied.
  using place = std::conditional_t<std::copy_constructible<Where>, Where, std::reference_wrapper<Where>>;

  start_operation(std::shared_ptr<detail::group_core> group, place where, Function function, cancel_token token,
                  task_options options)
      : group_(std::move(group)),
        where_(std::move(where)),
        function_(std::move(function)),
        options_(std::move(options)),
        start_(std::make_shared<detail::task_start<Value, value_type>>(std::move(token))) {}

  std::optional<expected<result_type>> begin(pending<result_type>& who) {
    auto task = detail::open_task<value_type>(group_, std::move(options_), typeid(Function), &start_->token());
    if (!task->entered())
      return task->refusal();
    task->set_starter(start_);
    start_->begin(who, task);
    task_promise<value_type> promise{std::move(task)};
    launcher::launch(static_cast<Where&>(where_), bound{std::move(function_), ready{start_}}, std::move(promise));
    return std::nullopt;
  }
  bool abandon(pending<result_type>&, const error&) { return false; }  // the task is told, and waited for
  bool forget(pending<result_type>&) { return start_->forget(); }

 private:
  std::shared_ptr<detail::group_core> group_;
  place where_;
  Function function_;
  task_options options_;
  std::shared_ptr<detail::task_start<Value, value_type>> start_;
};

}  // namespace troupe
