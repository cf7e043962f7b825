/// The bridge between what blocks and what must not: from coroutines to threads, and from threads to coroutines.

#include "actors/concurrency/sleep.hpp"
#include "actors/supervision/runtime.hpp"

#include <iostream>

using namespace std::chrono_literals;
using namespace troupe;
using boost::asio::awaitable;
using boost::asio::use_awaitable;

namespace {

// [bridge]
awaitable<expected<int>> square(int number, cancel_token token) {
  if (auto slept = co_await async(sleep_for(1ms, token), token, use_awaitable); !slept)
    co_return slept.error();
  co_return number* number;
}

expected<int> add_squares(portal& door) {  // in a thread of the pool
  int sum = 0;
  for (int number = 1; number <= 3; ++number) {
    if (auto wanted = check_cancelled(); !wanted)
      return wanted.error();
    const auto squared = door.call(std::bind_front(square, number));
    if (!squared)
      return squared;
    sum += *squared;
  }
  return sum;
}

awaitable<expected<void>> bridge(runtime& all) {
  const auto work = [&] { return add_squares(all.door()); };
  const auto sum = co_await async(all.threads().run(work, all.token()), all.token(), use_awaitable);
  if (!sum)
    co_return sum.error();
  std::cout << "the sum of the squares is " << *sum << "\n";
  co_return expected<void>{};
}

void stranger() {  // in a thread that nobody here has started
  runtime all;
  std::cout << "the square is " << *all.door().call(std::bind_front(square, 4)) << "\n";
}
// [/bridge]

}  // namespace

int main() {
  stranger();
  return run(bridge);
}
