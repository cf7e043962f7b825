#pragma once

#include "actors/concurrency/async.hpp"
#include "actors/supervision/task_group.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/execution/executor.hpp>
#include <boost/asio/is_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

namespace troupe {

namespace detail {

template <class Awaitable>
struct awaited;
template <class T, class Executor>
struct awaited<boost::asio::awaitable<T, Executor>> {
  using type = T;
};

template <class T>
concept is_awaitable = requires {
  typename awaited<T>::type;
};

/// What a function comes to, which may be a coroutine.
template <class Returned>
struct eventual {
  using type = outcome_t<Returned>;
};
template <is_awaitable Returned>
struct eventual<Returned> {
  using type = outcome_t<typename awaited<Returned>::type>;
};

template <class Function>
using called_t = decltype(call_with_token(std::declval<Function&>(), std::declval<const cancel_token&>()));

/// What an awaitable gives, or throws, under a token.
template <class Awaitable>
auto contained_coroutine(Awaitable work, cancel_token token)
    -> boost::asio::awaitable<expected<outcome_t<typename awaited<Awaitable>::type>>> {
  try {
    if constexpr (std::is_void_v<typename awaited<Awaitable>::type>) {
      co_await std::move(work);
      co_return expected<void>{};
    } else {
      co_return co_await std::move(work);
    }
  } catch (const boost::system::system_error& e) {
    // Asio's own operations say so when they were cancelled, and the reason is the token's.
    if (e.code() == boost::asio::error::operation_aborted && token.cancelled())
      co_return token.reason();
    co_return error_from_exception();
  } catch (...) {
    co_return error_from_exception();
  }
}

template <class Function, class T>
boost::asio::awaitable<void> run_coroutine(Function what, task_promise<T> promise) {
  // What the function holds goes before the task's end is told.
  std::optional<Function> function{std::move(what)};
  const auto token = promise.token();
  auto outcome = co_await contained_coroutine(call_with_token(*function, token), token);
  function.reset();
  promise.finish(std::move(outcome));
}

template <class T>
concept asio_executor = boost::asio::is_executor<T>::value || boost::asio::execution::is_executor<T>::value;

}  // namespace detail

/// Tasks on an Asio executor. Coroutines: functions that return an `awaitable` of `void`, `T` or `expected<T>`, with
/// the task's token as a parameter or without; what they capture lives until they end. And functions that return these
/// themselves, which must not block. Either begins when the executor gets to it, also in a group that was cancelled: a
/// coroutine up to its first wait.
template <detail::asio_executor Executor>
struct task_launcher<Executor> {
  template <class Function>
  using result = typename detail::eventual<detail::called_t<Function>>::type;

  template <class Function>
  static void launch(const Executor& executor, Function function, task_promise<result<Function>> promise) {
    boost::asio::post(executor, [executor, function = std::move(function), promise = std::move(promise)]() mutable {
      if constexpr (detail::is_awaitable<detail::called_t<Function>>) {
        boost::asio::co_spawn(executor, detail::run_coroutine(std::move(function), std::move(promise)),
                              boost::asio::detached);
      } else {
        const auto token = promise.token();
        auto outcome = [token, once = std::move(function)]() mutable {
          return contained([&]() -> decltype(auto) { return detail::call_with_token(once, token); });
        }();
        promise.finish(std::move(outcome));
      }
    });
  }
};

/// As for threads: makes a task group, awaits `body(group)`, an `awaitable` of `expected<void>` or `void`, and waits
/// for the tasks.
template <class Body>
requires detail::is_awaitable<std::invoke_result_t<Body&, task_group&>> boost::asio::awaitable<expected<void>>
with_task_group(cancel_token token, Body body) {
  task_group group{token};
  auto outcome = co_await detail::contained_coroutine(body(group), group.token());
  co_return co_await async(group.leave(std::move(outcome)), token, boost::asio::use_awaitable);
}

}  // namespace troupe
