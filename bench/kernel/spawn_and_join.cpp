// Starts many tasks that do nothing in one group and leaves it, which waits for all of them: coroutines on one thread,
// as the tasks of the event loop that it is compared with are.

#include "actors/concurrency/async.hpp"
#include "actors/supervision/coroutine_task.hpp"
#include "actors/supervision/task_group.hpp"
#include "bench/kernel/stopwatch.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace troupe::bench {

namespace {

namespace asio = boost::asio;

asio::awaitable<void> host(asio::io_context::executor_type loop, std::uint64_t children, std::uint64_t& ran,
                           bool& left) {
  task_group group{cancel_token{}};
  for (std::uint64_t i = 0; i != children; ++i)
    group.start_soon(loop, [&ran]() -> asio::awaitable<void> {
      ++ran;
      co_return;
    });
  left = (co_await async(group.leave(), {}, asio::use_awaitable)).has_value();
}

}  // namespace

figures spawn_and_join(const case_options& options) {
  std::uint64_t ran = 0;
  bool left = false;
  asio::io_context loop{1};
  asio::co_spawn(loop, host(loop.get_executor(), options.items, ran, left), asio::detached);
  const stopwatch watch;
  loop.run();
  auto result = watch.stop(options.items);
  if (!left || ran != options.items)
    throw failure{"of " + std::to_string(options.items) + " children " + std::to_string(ran) + " ran"};
  return result;
}

}  // namespace troupe::bench
