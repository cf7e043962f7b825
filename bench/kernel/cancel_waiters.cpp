// Cancels a scope with many coroutines under it that wait for an event, until the last has ended. One thread, as the
// event loop that it is compared with has.

#include "actors/concurrency/async.hpp"
#include "actors/concurrency/event.hpp"
#include "bench/kernel/stopwatch.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace troupe::bench {

namespace {

namespace asio = boost::asio;

asio::awaitable<void> wait_for(event what, cancel_token token, std::uint64_t& cancelled) {
  const auto result = co_await async(what.wait(), token, asio::use_awaitable);
  if (!result && result.error().cancellation)
    ++cancelled;
}

}  // namespace

figures cancel_waiters(const case_options& options) {
  std::uint64_t cancelled = 0;
  const event never;
  cancel_scope scope;
  asio::io_context loop{1};
  for (std::uint64_t i = 0; i != options.items; ++i)
    asio::co_spawn(loop, wait_for(never, scope.token(), cancelled), asio::detached);
  while (never.stats().waiting != options.items)
    loop.run_one();
  const stopwatch watch;
  scope.cancel();
  loop.run();
  auto result = watch.stop(options.items);
  if (cancelled != options.items)
    throw failure{"of " + std::to_string(options.items) + " waits " + std::to_string(cancelled) + " were cancelled"};
  return result;
}

}  // namespace troupe::bench
