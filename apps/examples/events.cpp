/// Events: something happens once, and whoever waits for it goes on. Here a thread waits for the bell, a coroutine for
/// the thread, and an actor for the coroutine.

#include "actors/concurrency/await.hpp"
#include "actors/concurrency/event.hpp"
#include "actors/supervision/actor_task.hpp"
#include "actors/supervision/pool_task.hpp"
#include "actors/supervision/runtime.hpp"

#include <caf/actor_system.hpp>

#include <iostream>

using namespace troupe;
using boost::asio::use_awaitable;

namespace {

struct evening {
  event bell, lights, curtain;
};

expected<void> in_a_thread(evening& tonight, const cancel_token& token) {
  if (auto rung = wait(tonight.bell.wait(), token); !rung)
    return rung;
  std::cout << "the thread has heard the bell\n";
  tonight.lights.set();
  return {};
}

boost::asio::awaitable<expected<void>> in_a_coroutine(evening& tonight, cancel_token token) {
  if (auto lit = co_await async(tonight.lights.wait(), token, use_awaitable); !lit)
    co_return lit;
  std::cout << "the coroutine has seen the lights\n";
  tonight.curtain.set();
  co_return expected<void>{};
}

caf::behavior as_an_actor(caf::event_based_actor* self, event curtain) {
  return {[self, curtain](start_atom) {
    await(self, curtain.wait(), {}, [self](const expected<void>&) {
      std::cout << "the actor is on stage\n";
      self->quit();
    });
  }};
}

}  // namespace

int main() {
  return run([](runtime& all) -> expected<void> {
    evening tonight;
    return with_task_group(all.token(), [&](task_group& group) {
      group.start_soon(all.system(), [&](caf::actor_system& in) { return in.spawn(as_an_actor, tonight.curtain); });
      group.start_soon(all.executor(), [&](const cancel_token& token) { return in_a_coroutine(tonight, token); });
      group.start_soon(all.threads(), [&](const cancel_token& token) { return in_a_thread(tonight, token); });
      tonight.bell.set();
    });
  });
}
