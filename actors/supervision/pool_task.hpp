#pragma once

#include "actors/concurrency/async_wait.hpp"
#include "actors/concurrency/thread_pool.hpp"
#include "actors/concurrency/wait.hpp"
#include "actors/supervision/task_group.hpp"

namespace troupe {

namespace detail {

/// A function in a pool that is a task: nobody waits for it but the group.
template <class Function>
class pool_task final : public async_wait<thread_pool::run_operation<Function>> {
 public:
  using operation_type = thread_pool::run_operation<Function>;

  static void start(thread_pool& pool, Function function, task_promise<work_result_t<Function>> promise) {
    auto token = promise.token();
    run_options options{.name = promise.name()};
    (new pool_task{pool.run(std::move(function), token, std::move(options)), token, std::move(promise)})
        ->async_wait<operation_type>::start();
  }

 private:
  pool_task(operation_type operation, cancel_token token, task_promise<work_result_t<Function>> promise)
      : async_wait<operation_type>(std::move(operation), std::move(token)), promise_(std::move(promise)) {}

  void resume() noexcept override {
    const std::unique_ptr<pool_task> last{this};
    promise_.finish(this->take());
  }

  task_promise<work_result_t<Function>> promise_;
};

}  // namespace detail

/// Tasks that are functions, which may block, in the threads of a pool: `T()` or `T(cancel_token)`, or giving an
/// `expected<T>`. One that is cancelled before it has begun never runs. Cancelled later it must look at its token; the
/// group waits for it.
template <>
struct task_launcher<thread_pool> {
  template <class Function>
  using result = detail::work_result_t<Function>;

  template <class Function>
  static void launch(thread_pool& pool, Function function, task_promise<result<Function>> promise) {
    detail::pool_task<Function>::start(pool, std::move(function), std::move(promise));
  }
};

/// Makes a task group, calls `body(group)`, and waits for the tasks: a group that can't be left too early. For threads;
/// for coroutines see coroutine_task.hpp. What comes of it is what `task_group::leave` says.
template <class Body>
requires std::same_as<std::invoke_result_t<Body&, task_group&>, expected<void>> ||
    std::is_void_v<std::invoke_result_t<Body&, task_group&>>
        expected<void> with_task_group(const cancel_token& token, Body body) {
  task_group group{token};
  auto outcome = contained(body, group);
  return wait(group.leave(std::move(outcome)), token);
}

}  // namespace troupe
