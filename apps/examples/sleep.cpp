/// Sleeping: three coroutines sleep in one thread, and each wakes when its time has come. All waiting follows the clock
/// of the token that it is done under. This program has a virtual one, whose time passes when somebody says so: a night
/// takes no time at all. Without `.clock` the sleepers would take hours.

#include "actors/concurrency/sleep.hpp"
#include "actors/concurrency/virtual_clock.hpp"
#include "actors/supervision/runtime.hpp"

#include <iostream>

using namespace std::chrono_literals;
using namespace troupe;
using boost::asio::awaitable;
using boost::asio::use_awaitable;

namespace {

awaitable<expected<void>> sleeper(std::string name, std::chrono::hours time, cancel_token token) {
  auto slept = co_await async(sleep_for(time, token), token, use_awaitable);
  if (slept)
    std::cout << name << " wakes after " << time.count() << " hours\n";
  co_return slept;
}

}  // namespace

int main() {
  virtual_clock time;
  const auto evening = time.now();
  const auto one_night = [&](runtime& all) -> awaitable<expected<void>> {
    const auto over = co_await with_task_group(all.token(), [&](task_group& night) -> awaitable<void> {
      const auto start = [&](std::string name, std::chrono::hours until) {
        night.start_soon(all.executor(), [=](const cancel_token& token) { return sleeper(name, until, token); });
      };
      start("the king", 10h);
      start("the fool", 3h);
      start("the cook", 6h);
      while (time.armed() != 3)
        co_await boost::asio::post(use_awaitable);
      std::cout << "all sleep\n";
      while (time.jump())
        continue;
    });
    std::cout << "it was a night of " << (time.now() - evening) / 1h << " hours\n";
    co_return over;
  };
  return run(one_night, {.clock = &time});
}
