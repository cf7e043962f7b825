// Our stream between Asio coroutines on a thread pool: what is compared with Asio's own channel.

#include "actors/concurrency/async.hpp"
#include "actors/concurrency/stream.hpp"
#include "bench/kernel/stopwatch.hpp"
#include "bench/kernel/traffic.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace troupe::bench {

namespace {

namespace asio = boost::asio;

using half_in = send_half<std::uint64_t>;
using half_out = receive_half<std::uint64_t>;

asio::awaitable<void> produce(half_in sender, share items, cancel_token token) {
  for (auto item = items.first; item != items.end; ++item)
    if (!co_await async(sender.send(item), token, asio::use_awaitable))
      co_return;
}

asio::awaitable<void> consume(half_out receiver, cancel_token token, arrivals& all) {
  tally received;
  while (const auto item = co_await async(receiver.receive(), token, asio::use_awaitable))
    received.add(*item);
  all.add(received);
}

asio::awaitable<void> consume_batches(half_out receiver, unsigned batch, cancel_token token, arrivals& all) {
  tally received;
  while (const auto items = co_await async(receiver.receive_up_to(batch), token, asio::use_awaitable))
    for (const auto item : *items)
      received.add(item);
  all.add(received);
}

}  // namespace

figures stream_coroutines(const case_options& options) {
  auto [sender, receiver] = *make_stream<std::uint64_t>(queue_capacity);
  const cancel_scope scope;
  arrivals all;
  asio::thread_pool pool{executor_threads};
  const stopwatch watch;
  for (unsigned i = 0; i != options.consumers; ++i)
    asio::co_spawn(pool,
                   options.batch == 1 ? consume(*receiver.clone(), scope.token(), all)
                                      : consume_batches(*receiver.clone(), options.batch, scope.token(), all),
                   asio::detached);
  for (unsigned i = 0; i != options.producers; ++i)
    asio::co_spawn(pool, produce(*sender.clone(), share_of(options, i), scope.token()), asio::detached);
  sender.close();
  pool.join();
  auto result = watch.stop(options.items);
  all.check(options);
  return result;
}

}  // namespace troupe::bench
