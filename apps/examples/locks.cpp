/// Locks: one that may be held while its holder waits, and a condition on what it protects. Threads and coroutines take
/// the same lock; each says who it is, because a coroutine has no identity of its own.

#include "actors/concurrency/lock.hpp"
#include "actors/supervision/pool_task.hpp"
#include "actors/supervision/runtime.hpp"

#include <iostream>

using namespace troupe;
using boost::asio::awaitable;
using boost::asio::use_awaitable;

namespace {

struct till {
  lock mutex;
  condition changed{mutex};
  int money = 0;
};

/// Others run while this waits with the lock in its hand, and still no coin is lost.
awaitable<expected<void>> pay(till& into, int amount, cancel_token token) {
  const int me = 0;
  auto held = co_await async(into.mutex.acquire(owner{&me}), token, use_awaitable);
  if (!held)
    co_return held.error();
  const int before = into.money;
  co_await boost::asio::post(use_awaitable);
  into.money = before + amount;
  co_return into.changed.notify_all(*held);
}

expected<void> count(till& from, const cancel_token& token) {
  auto held = wait(from.mutex.acquire(this_thread_owner()), token);
  if (!held)
    return held.error();
  while (from.money < 10)
    if (auto woken = wait(from.changed.wait(*held), token); !woken)
      return woken;
  std::cout << "there are " << from.money << " coins in the till\n";
  return {};
}

}  // namespace

int main() {
  return run([](runtime& all) -> expected<void> {
    till shared;
    return with_task_group(all.token(), [&](task_group& group) {
      group.start_soon(all.threads(), [&](const cancel_token& token) { return count(shared, token); });
      for (int amount = 1; amount <= 4; ++amount)
        group.start_soon(all.executor(), [&, amount](const cancel_token& own) { return pay(shared, amount, own); });
    });
  });
}
