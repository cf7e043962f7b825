/// A task group: when it is left, all tasks that were started in it have ended. A task is a function in a thread, a
/// coroutine, or an actor. The first failure stops the others, and leaving the group tells of every failure.

#include "actors/concurrency/event.hpp"
#include "actors/supervision/actor_task.hpp"
#include "actors/supervision/pool_task.hpp"
#include "actors/supervision/runtime.hpp"

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>

#include <iostream>

using namespace troupe;
using boost::asio::awaitable;
using boost::asio::use_awaitable;

namespace {

awaitable<expected<void>> rehearse(runtime& all) {
  task_group group{all.token()};
  const auto acts = group.start_soon(all.threads(), [] { return 5; });
  const auto title = group.start_soon(all.executor(), []() -> awaitable<std::string> { co_return "Hamlet"; });
  const auto left = co_await async(group.leave(), all.token(), use_awaitable);
  if (left)
    std::cout << *title.result() << " has " << *acts.result() << " acts\n";
  co_return left;
}

/// An actor that is there until it is told to go, which its group does.
caf::behavior ghost(caf::event_based_actor*) {
  return {[](start_atom) {}};
}

/// The same with a group that can't be left too early.
awaitable<void> perform(runtime& all) {
  std::optional<task_handle<void>> actor;
  const auto left = co_await with_task_group(all.token(), [&](task_group& group) -> awaitable<void> {
    actor = group.start_soon(all.system(), [](caf::actor_system& system) { return system.spawn(ghost); });
    group.start_soon(all.executor(), [](cancel_token token) -> awaitable<expected<void>> {
      (void)co_await async(event{}.wait(), token, use_awaitable);
      co_return make_error(status_code::internal, "the curtain did not fall when it should");
    });
    group.start_soon(all.threads(), [] { throw std::runtime_error{"the lights went out"}; });
    co_return;
  });
  std::cout << "the ghost was " << to_string(actor->status()) << "\n";
  for (const auto& failure : left.error().parts)
    std::cout << "- " << failure.cause << "\n";
}

}  // namespace

int main() {
  return run([](runtime& all) -> awaitable<expected<void>> {
    const auto rehearsed = co_await rehearse(all);
    co_await perform(all);
    co_return rehearsed;
  });
}
