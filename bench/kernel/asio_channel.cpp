// The peer of our stream between coroutines: Asio's concurrent_channel, on the same thread pool. It has no batched
// receive; what comes nearest is to wait for one item and to try for more. Closing it drops what it has buffered, so it
// ends when every consumer has received an end mark.

#include "bench/kernel/stopwatch.hpp"
#include "bench/kernel/traffic.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/concurrent_channel.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <atomic>
#include <limits>

namespace troupe::bench {

namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using channel = asio::experimental::concurrent_channel<void(error_code, std::uint64_t)>;

constexpr auto end_mark = std::numeric_limits<std::uint64_t>::max();

/// The last producer to be done sends the end marks.
asio::awaitable<void> produce(channel& to, share items, std::atomic<unsigned>& open, unsigned consumers) {
  for (auto item = items.first; item != items.end; ++item)
    co_await to.async_send(error_code{}, item, asio::use_awaitable);
  if (--open == 0)
    for (unsigned i = 0; i != consumers; ++i)
      co_await to.async_send(error_code{}, end_mark, asio::use_awaitable);
}

asio::awaitable<void> consume(channel& from, unsigned batch, arrivals& all) {
  tally received;
  for (auto item = end_mark; (item = co_await from.async_receive(asio::use_awaitable)) != end_mark;) {
    received.add(item);
    const auto take = [&](error_code, std::uint64_t more) { item = more; };
    for (unsigned taken = 1; taken < batch && from.try_receive(take); ++taken) {
      if (item == end_mark)
        co_return all.add(received);
      received.add(item);
    }
  }
  all.add(received);
}

}  // namespace

figures asio_channel(const case_options& options) {
  asio::thread_pool pool{executor_threads};
  channel between{pool.get_executor(), queue_capacity};
  arrivals all;
  const stopwatch watch;
  for (unsigned i = 0; i != options.consumers; ++i)
    asio::co_spawn(pool, consume(between, options.batch, all), asio::detached);
  std::atomic<unsigned> open = options.producers;
  for (unsigned i = 0; i != options.producers; ++i)
    asio::co_spawn(pool, produce(between, share_of(options, i), open, options.consumers), asio::detached);
  pool.join();
  auto result = watch.stop(options.items);
  all.check(options);
  return result;
}

}  // namespace troupe::bench
