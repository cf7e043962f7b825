#pragma once

#include "actors/supervision/task.hpp"
#include "actors/supervision/task_start.hpp"

namespace troupe {

struct task_group_options {
  task_failure_policy on_failure = task_failure_policy::cancel_group;
};

/// Tasks that belong together: nobody leaves the group before all of them have ended. The first that fails, or a
/// failure of the host, which is whoever made the group, cancels the others; leaving then tells of every failure, none
/// twice, and of no cancellation. Tasks may start others in their group. Thread-safe, but for `leave()`.
///
/// A group that is destroyed without having been left cancels its tasks, which nobody waits for then, and logs that.
/// `with_task_group` can't forget it.
class task_group {
 public:
  struct statistics {
    std::size_t active;       ///< tasks that have not ended
    std::uint64_t started;    ///< since the group began
    std::uint64_t failed;     ///< of those that have ended
    std::uint64_t cancelled;  ///< of those that have ended
  };

  class leave_operation;

  explicit task_group(const cancel_token& parent, task_group_options options = {});
  ~task_group();
  task_group(const task_group&) = delete;
  task_group& operator=(const task_group&) = delete;

  /// What the host works under; its tasks are under scopes of their own inside.
  cancel_scope& scope() noexcept;
  cancel_token token() const noexcept;
  std::uint64_t id() const noexcept;
  statistics stats() const;

  /// Starts `function` as a task: `function(token)` or `function()` in a thread of a pool, as a coroutine on an
  /// executor, or making an actor of a system. It has not begun to run when this returns, if the starter's own thread
  /// is to run it. In a group that was left nothing is started, which the log tells: the handle's task has failed with
  /// FAILED_PRECONDITION.
  template <class Where, class Function>
  auto start_soon(Where&& where, Function function, task_options options = default_task_options()) {
    using launcher = task_launcher<std::remove_cvref_t<Where>>;
    using result = typename launcher::template result<Function>;
    auto task = detail::open_task<result>(core_, std::move(options), typeid(Function), nullptr);
    task_handle<result> handle{task};
    if (task->entered())
      launcher::launch(where, std::move(function), task_promise<result>{std::move(task)});
    return handle;
  }

  /// Starts a task that says when it is ready, `function(token, ready)`, and waits for that: see `task_start`. Until
  /// then it runs under `token`, which is also waited under, and its failure is that of the start alone; from then on
  /// it is one of the group. Cancelled meanwhile, the start waits for the task to end.
  template <class Value = std::monostate, class Where, class Function>
  auto start(Where&& where, Function function, cancel_token token, task_options options = default_task_options()) {
    return start_operation<Value, std::remove_cvref_t<Where>, Function>{core_, where, std::move(function),
                                                                        std::move(token), std::move(options)};
  }

  /// Waits for all tasks, whatever is cancelled; `outcome` is what the host came to. Then: an error with every failure
  /// as a part; or the cancellation of a scope around, once; or OK, also when the group itself was cancelled. Once, and
  /// not from a task of the group, which it would wait for.
  leave_operation leave(expected<void> outcome = {}) const;

 private:
  const std::shared_ptr<detail::group_core> core_;
};

class task_group::leave_operation {
 public:
  using result_type = void;
  static constexpr bool refusable = false;

  leave_operation(std::shared_ptr<detail::group_core> of, expected<void> outcome)
      : core_(std::move(of)), outcome_(std::move(outcome)) {}

  std::optional<expected<void>> begin(pending<void>& who);
  bool abandon(pending<void>&, const error&) { return false; }  // the group's scope is told by the one around it
  bool forget(pending<void>& who);
  expected<void> finish(expected<void> outcome);

 private:
  std::shared_ptr<detail::group_core> core_;
  expected<void> outcome_;
};

}  // namespace troupe
