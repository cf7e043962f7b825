/// Threads: a function that blocks runs in a pool, while its caller, a coroutine, goes on with other things. It looks
/// now and then whether it is still wanted, and calls back into the coroutines' thread by a portal.

#include "actors/supervision/runtime.hpp"

#include <iostream>

using namespace troupe;
using boost::asio::awaitable;
using boost::asio::use_awaitable;

namespace {

/// Counts as long as it is wanted; it gives its result, although nobody asked for so little.
int count(portal& door, const std::function<void(int)>& tell) {
  int done = 0;
  while (check_cancelled())
    if (door.call([&] { tell(done + 1); }))
      ++done;
  return done;
}

awaitable<expected<void>> main_task(runtime& all) {
  cancel_scope scope{no_deadline, all.token()};

  // Runs where the coroutines run, so that it may touch what is theirs.
  const auto tell = [&](int number) {
    std::cout << "told of " << number << "\n";
    if (number == 3)
      scope.cancel(make_error(status_code::cancelled, "three is enough"));
  };
  const auto work = [&] { return count(all.door(), tell); };
  const auto counted = co_await async(all.threads().run(work, scope.token()), scope.token(), use_awaitable);
  if (!counted)
    co_return counted.error();
  std::cout << "counted to " << *counted << ", because " << scope.token().reason().cause << "\n";

  // Outside of a pool there is nobody who could have cancelled.
  std::cout << "here: " << check_cancelled().error().cause << "\n";
  co_return expected<void>{};
}

}  // namespace

int main() {
  return run(main_task);
}
