/// Task execution: tasks that belong together, one failure that stops them all, and a time for the whole.

#include "actors/concurrency/event.hpp"
#include "actors/supervision/runtime.hpp"

#include <iostream>

using namespace std::chrono_literals;
using namespace troupe;
using boost::asio::awaitable;
using boost::asio::use_awaitable;

namespace {

// [tasks]
awaitable<expected<void>> wait_for_ever(cancel_token token) {
  co_return co_await async(event{}.wait(), token, use_awaitable);
}

awaitable<expected<void>> fail(std::string why) {
  co_return make_error(status_code::data_loss, why);
}

awaitable<void> tasks(runtime& all) {
  const auto failed = co_await with_task_group(all.token(), [&](task_group& group) -> awaitable<void> {
    group.start_soon(all.executor(), wait_for_ever);
    group.start_soon(all.executor(), std::bind_front(fail, "the disk is full"));
    group.start_soon(all.executor(), std::bind_front(fail, "the tape is torn"));
    co_return;
  });
  for (const auto& failure : failed.error().parts)
    std::cout << "failed: " << failure.cause << "\n";

  auto scope = fail_after(10ms, all.token());
  const auto timed = scope.leave(co_await with_task_group(scope.token(), [&](task_group& group) -> awaitable<void> {
    group.start_soon(all.executor(), wait_for_ever);
    co_return;
  }));
  if (!timed && timed.error().code == status_code::deadline_exceeded)
    std::cout << "it took too long\n";
}
// [/tasks]

}  // namespace

int main() {
  return run(tasks);
}
