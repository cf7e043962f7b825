// A thread that the runtime knows nothing of has a coroutine run there, waits for the result, and again.

#include "actors/supervision/portal.hpp"
#include "actors/supervision/runtime.hpp"
#include "bench/kernel/stopwatch.hpp"

#include <boost/asio/awaitable.hpp>

namespace troupe::bench {

figures portal_round_trip(const case_options& options) {
  runtime all;
  portal door{all.executor(), all.token()};
  std::uint64_t done = 0;
  const stopwatch watch;
  for (std::uint64_t i = 0; i != options.items; ++i) {
    const auto next = door.call([done]() -> boost::asio::awaitable<std::uint64_t> { co_return done + 1; });
    if (!next)
      throw failure{to_string(next.error())};
    done = *next;
  }
  auto result = watch.stop(options.items);
  if (const auto left = wait(door.leave(), {}); !left)
    throw failure{to_string(left.error())};
  if (done != options.items)
    throw failure{"of " + std::to_string(options.items) + " calls " + std::to_string(done) + " were answered"};
  return result;
}

}  // namespace troupe::bench
