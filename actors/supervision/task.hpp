#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/concurrency/outcome.hpp"
#include "actors/concurrency/pending.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>

namespace troupe {

/// Where a task is. The last three are final.
enum class task_status : std::uint8_t {
  pending,
  cancelling,  ///< it, or its group, was cancelled, and it has not ended yet
  finished,
  failed,
  cancelled,
};

std::string_view to_string(task_status status) noexcept;

/// What the failure of a task means for its group.
enum class task_failure_policy : std::uint8_t {
  cancel_group,  ///< the others are cancelled, and the failure is the group's
  isolate,       ///< it concerns whoever has the task's handle
};

struct task_options {
  std::string name = {};  ///< when empty, the name of the function's type
};

/// For default arguments: see `default_run_options()`.
inline task_options default_task_options() {
  return {};
}

namespace detail {

class group_core;

/// Whoever started a task and waits for it to say that it is ready.
class task_starter {
 public:
  virtual ~task_starter() = default;

  /// The task has ended, with `why` unless it did well. True when it had not said that it is ready: then this concerns
  /// its starter alone.
  virtual bool task_ended(const error* why, bool cancelled) noexcept = 0;
};

/// What a task, its handles and its group have to do with each other, whatever its value.
class task_base {
 public:
  /// Counts itself into the group. With `starter` the task begins under that token's deadline and is hidden from what
  /// happens to the group.
  task_base(std::shared_ptr<group_core> group, task_options options, const std::type_info& function,
            const cancel_token* starter);
  virtual ~task_base();
  task_base(const task_base&) = delete;
  task_base& operator=(const task_base&) = delete;

  std::string name() const;
  std::uint64_t id() const noexcept { return id_; }
  std::uint64_t parent() const noexcept;
  task_status status() const;
  cancel_token token() const noexcept { return scope_.token(); }
  bool cancel(error reason) { return scope_.cancel(std::move(reason)); }

  /// False where the group was left before.
  bool entered() const noexcept { return entered_; }
  error refusal() const;

  /// From when the task is ready on it is under its group's scope.
  void join_group() { scope_.set_shield(false); }
  void set_deadline(steady_clock::time_point deadline) { scope_.set_deadline(deadline); }
  bool was_cancelled() const noexcept { return scope_.cancel_called(); }

  void set_starter(std::shared_ptr<task_starter> who) { starter_ = std::move(who); }

  task_failure_policy policy() const noexcept;

  /// What a launcher keeps for all the tasks of the group that run at `where`; made when it is first asked for.
  std::shared_ptr<void> group_local(const void* where, const std::function<std::shared_ptr<void>()>& make) const;

 protected:
  /// What is told of a task that has ended with an error; rewrites it where it says less than it should.
  task_status judge(error& why) const;
  void tell_group(task_status how, const error* why);

  error failure(const error& why) const;
  error cancellation(const error& why) const;
  error not_over() const;

  mutable std::mutex mutex_;
  task_status status_ = task_status::pending;  // pending until it is over
  wait_queue waiting_;

 private:
  const std::shared_ptr<group_core> group_;
  const std::string name_;
  const std::type_info& function_;
  const std::uint64_t id_;
  const bool entered_;
  cancel_scope scope_;
  std::shared_ptr<task_starter> starter_;
};

template <class T>
class task_state final : public task_base {
 public:
  using task_base::task_base;

  /// How the end of the task gets to somebody who waits for it.
  using deliver = void (*)(task_state& of, waiter& who, wake_list& woken);

  void complete(expected<T> outcome) {
    const auto how = outcome ? task_status::finished : judge(outcome.error());
    const auto why = outcome ? std::optional<error>{} : outcome.error();
    {
      wake_list woken;
      const std::lock_guard lock{mutex_};
      status_ = how;
      outcome_.emplace(std::move(outcome));
      while (auto* who = waiting_.pop_front())
        (*static_cast<const deliver*>(who->subject))(*this, *who, woken);
    }
    tell_group(how, why ? &*why : nullptr);
  }

  /// True when it is over; else `who` waits, to be told by `how`.
  bool over(waiter& who, const deliver& how) {
    const std::lock_guard lock{mutex_};
    if (status_ != task_status::pending)
      return true;
    who.subject = const_cast<void*>(static_cast<const void*>(&how));
    waiting_.push_back(who);
    return false;
  }

  template <class Result>
  bool withdraw(troupe::pending<Result>& who, error why) {
    const std::lock_guard lock{mutex_};
    return waiting_.withdraw(who, std::move(why));
  }

  expected<T> result() const requires(std::is_void_v<T> || std::copy_constructible<T>) {
    const std::lock_guard lock{mutex_};
    if (status_ == task_status::pending)
      return not_over();
    return *outcome_;
  }

  expected<T> get() {
    const std::lock_guard lock{mutex_};
    return take();
  }

  /// As `get()`, under the lock.
  expected<T> take() {
    if (status_ == task_status::failed)
      return failure(outcome_->error());
    if (status_ == task_status::cancelled)
      return cancellation(outcome_->error());
    if constexpr (std::is_void_v<T> || std::copy_constructible<T>) {
      return *outcome_;
    } else {
      if (std::exchange(taken_, true))
        return make_error(status_code::failed_precondition, "the value of task '" + name() + "' was taken before");
      return std::move(*outcome_);
    }
  }

 private:
  std::optional<expected<T>> outcome_;
  bool taken_ = false;
};

/// A new task of a group; one that has failed already where the group was left before.
template <class T>
std::shared_ptr<task_state<T>> open_task(std::shared_ptr<group_core> group, task_options options,
                                         const std::type_info& function, const cancel_token* starter) {
  auto task = std::make_shared<task_state<T>>(std::move(group), std::move(options), function, starter);
  if (!task->entered() && !starter)
    task->complete(task->refusal());
  return task;
}

}  // namespace detail

/// A task that was started in a group: to look at it, to wait for it, and to cancel it alone. Copies are handles of the
/// same task, which goes on without any. Thread-safe.
template <class T>
class task_handle {
 public:
  using value_type = T;

  class wait_operation;
  class get_operation;

  explicit task_handle(std::shared_ptr<detail::task_state<T>> of) : state_(std::move(of)) {}

  std::string name() const { return state_->name(); }
  std::uint64_t id() const noexcept { return state_->id(); }          ///< unique in the process
  std::uint64_t parent() const noexcept { return state_->parent(); }  ///< the group's id, whoever started the task
  task_status status() const { return state_->status(); }

  /// Cancels this task and nothing else; false when it was before. It is over once it has ended.
  bool cancel(error reason = make_error(status_code::cancelled, "the task was cancelled")) const {
    return state_->cancel(std::move(reason));
  }

  /// What the task came to; FAILED_PRECONDITION while it goes on.
  expected<T> result() const requires(std::is_void_v<T> || std::copy_constructible<T>) { return state_->result(); }

  /// Waits for its end, and says nothing of how it ended.
  wait_operation wait() const { return wait_operation{state_}; }

  /// Waits for its value, which the first to ask gets if it can't be copied. A failure is told with the task's own
  /// error as its part; CANCELLED, which is no cancellation of whoever waits, when the task was cancelled.
  get_operation get() const { return get_operation{state_}; }

 private:
  std::shared_ptr<detail::task_state<T>> state_;
};

template <class T>
class task_handle<T>::wait_operation {
 public:
  using result_type = void;

  explicit wait_operation(std::shared_ptr<detail::task_state<T>> of) : state_(std::move(of)) {}

  std::optional<expected<void>> begin(pending<void>& who) {
    return state_->over(who, how) ? std::optional{expected<void>{}} : std::nullopt;
  }
  bool abandon(pending<void>& who, error why) { return state_->withdraw(who, std::move(why)); }

 private:
  static constexpr typename detail::task_state<T>::deliver how = [](auto&, waiter& who, wake_list& woken) {
    complete(static_cast<pending<void>&>(who), expected<void>{}, woken);
  };

  std::shared_ptr<detail::task_state<T>> state_;
};

template <class T>
class task_handle<T>::get_operation {
 public:
  using result_type = T;

  explicit get_operation(std::shared_ptr<detail::task_state<T>> of) : state_(std::move(of)) {}

  std::optional<expected<T>> begin(pending<T>& who) {
    return state_->over(who, how) ? std::optional{state_->get()} : std::nullopt;
  }
  bool abandon(pending<T>& who, error why) { return state_->withdraw(who, std::move(why)); }

 private:
  static constexpr typename detail::task_state<T>::deliver how = [](auto& of, waiter& who, wake_list& woken) {
    complete(static_cast<pending<T>&>(who), of.take(), woken);
  };

  std::shared_ptr<detail::task_state<T>> state_;
};

/// A task as whoever runs it sees it. Move-only. One that is destroyed without an end, because its executor is gone for
/// example, ends the task with ABORTED, so that nobody waits for it in vain.
template <class T>
class task_promise {
 public:
  explicit task_promise(std::shared_ptr<detail::task_state<T>> of) : state_(std::move(of)) {}
  task_promise(task_promise&&) noexcept = default;
  task_promise& operator=(task_promise&&) = delete;
  ~task_promise() {
    if (state_)
      finish(make_error(status_code::aborted, "task '" + state_->name() + "' was dropped before its end",
                        "keep the executor until its task groups have ended"));
  }

  cancel_token token() const noexcept { return state_->token(); }
  std::string name() const { return state_->name(); }

  task_failure_policy policy() const noexcept { return state_->policy(); }
  std::shared_ptr<void> group_local(const void* where, const std::function<std::shared_ptr<void>()>& make) const {
    return state_->group_local(where, make);
  }

  /// The end of the task. Once.
  void finish(expected<T> outcome) { std::exchange(state_, nullptr)->complete(std::move(outcome)); }

 private:
  std::shared_ptr<detail::task_state<T>> state_;
};

}  // namespace troupe
