// Our stream between threads: each producer and consumer has one, and waits with `wait`.

#include "actors/concurrency/stream.hpp"
#include "actors/concurrency/wait.hpp"
#include "bench/kernel/stopwatch.hpp"
#include "bench/kernel/traffic.hpp"

#include <thread>

namespace troupe::bench {

namespace {

using half_in = send_half<std::uint64_t>;
using half_out = receive_half<std::uint64_t>;

void produce(half_in sender, share items, const cancel_token& token) {
  for (auto item = items.first; item != items.end; ++item)
    if (!wait(sender.send(item), token))
      return;
}

tally consume(half_out receiver, const cancel_token& token) {
  tally result;
  while (const auto item = wait(receiver.receive(), token))
    result.add(*item);
  return result;
}

tally consume_batches(half_out receiver, unsigned batch, const cancel_token& token) {
  tally result;
  while (const auto items = wait(receiver.receive_up_to(batch), token))
    for (const auto item : *items)
      result.add(item);
  return result;
}

}  // namespace

figures stream_threads(const case_options& options) {
  auto [sender, receiver] = *make_stream<std::uint64_t>(queue_capacity);
  const cancel_scope scope;
  arrivals all;
  const stopwatch watch;
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i != options.consumers; ++i)
      threads.emplace_back([&, half = *receiver.clone()]() mutable {
        all.add(options.batch == 1 ? consume(std::move(half), scope.token())
                                   : consume_batches(std::move(half), options.batch, scope.token()));
      });
    for (unsigned i = 0; i != options.producers; ++i)
      threads.emplace_back(
          [&, i, half = *sender.clone()]() mutable { produce(std::move(half), share_of(options, i), scope.token()); });
    sender.close();
  }
  auto result = watch.stop(options.items);
  all.check(options);
  return result;
}

}  // namespace troupe::bench
