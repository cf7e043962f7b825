/// Timeouts: a deadline belongs to a scope, and ends whatever waits under the scope's token. What that means to those
/// outside is said when the scope is left: nothing, or an error. A shield keeps the time for cleaning up.

#include "actors/concurrency/sleep.hpp"
#include "actors/supervision/runtime.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>

#include <iostream>

using namespace std::chrono_literals;
using namespace troupe;
using boost::asio::awaitable;
using boost::asio::use_awaitable;

namespace {

auto long_sleep(const cancel_token& token) {
  return async(sleep_for(1h, token), token, use_awaitable);
}

awaitable<void> move_on(const cancel_token& token) {
  auto scope = move_on_after(10ms, token);
  const auto left = scope.leave(co_await long_sleep(scope.token()));
  std::cout << "moved on: " << (left && scope.cancelled_caught()) << "\n";
}

awaitable<void> fail(const cancel_token& token) {
  auto scope = fail_after(10ms, token);
  const auto left = scope.leave(co_await long_sleep(scope.token()));
  std::cout << "failed: " << to_string(left.error().code) << "\n";
}

awaitable<void> clean_up(const cancel_token& token) {
  auto scope = move_on_after(10ms, token);
  auto slept = co_await long_sleep(scope.token());
  cancel_scope shielded{{.deadline = after(1h, token), .shield = true}, scope.token()};
  const auto cleaned = co_await async(sleep_for(1ms, token), shielded.token(), use_awaitable);
  std::cout << "cleaned up: " << cleaned.has_value() << "; left: " << scope.leave(slept).has_value() << "\n";
}

/// What Asio waits for knows no token, and is put under one.
awaitable<void> wait_for_asio(const cancel_token& token) {
  auto scope = move_on_after(10ms, token);
  boost::asio::steady_timer timer{co_await boost::asio::this_coro::executor, 1h};
  const auto [ended] = co_await under(scope.token(), timer.async_wait(boost::asio::as_tuple(use_awaitable)));
  std::cout << "Asio's timer: " << ended.message() << "\n";
}

}  // namespace

int main() {
  std::cout << std::boolalpha;
  return run([](runtime& all) -> awaitable<void> {
    for (auto* example : {move_on, fail, clean_up, wait_for_asio})
      co_await example(all.token());
  });
}
