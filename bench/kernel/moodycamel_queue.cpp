// The limit between threads: a lock-free queue that keeps no order between producers, knows no cancellation and no end.
// Its bound is a semaphore of its own kind. It ends when every consumer has received an end mark.

#include "bench/kernel/stopwatch.hpp"
#include "bench/kernel/traffic.hpp"

#include <concurrentqueue/blockingconcurrentqueue.h>

#include <limits>
#include <thread>

namespace troupe::bench {

namespace {

constexpr auto end_mark = std::numeric_limits<std::uint64_t>::max();

class bounded_queue {
 public:
  using queue = moodycamel::BlockingConcurrentQueue<std::uint64_t>;

  void send(const moodycamel::ProducerToken& from, std::uint64_t item) {
    room_.wait();
    if (!items_.enqueue(from, item))
      throw failure{"no memory for an item"};
  }

  /// The end marks are beyond the bound: one for each consumer, when all else was sent.
  void end() { items_.enqueue(end_mark); }

  std::size_t receive_up_to(moodycamel::ConsumerToken& to, std::uint64_t* items, std::size_t most) {
    const auto received = items_.wait_dequeue_bulk(to, items, most);
    room_.signal(static_cast<std::ptrdiff_t>(received));
    return received;
  }

  std::uint64_t receive(moodycamel::ConsumerToken& to) {
    std::uint64_t item = 0;
    items_.wait_dequeue(to, item);
    room_.signal();
    return item;
  }

  /// What the end marks have overtaken: there is no order between producers.
  tally rest() {
    tally result;
    for (std::uint64_t item; items_.try_dequeue(item);)
      if (item != end_mark)
        result.add(item);
    return result;
  }

  queue& items() { return items_; }

 private:
  queue items_;
  moodycamel::LightweightSemaphore room_{queue_capacity};
};

void produce(bounded_queue& to, share items) {
  const moodycamel::ProducerToken token{to.items()};
  for (auto item = items.first; item != items.end; ++item)
    to.send(token, item);
}

tally consume(bounded_queue& from) {
  moodycamel::ConsumerToken token{from.items()};
  tally result;
  for (;;) {
    const auto item = from.receive(token);
    if (item == end_mark)
      return result;
    result.add(item);
  }
}

/// A batch may bring the end marks of other consumers too; those are passed on.
tally consume_batches(bounded_queue& from, unsigned batch) {
  moodycamel::ConsumerToken token{from.items()};
  std::vector<std::uint64_t> items(batch);
  tally result;
  for (std::size_t ends = 0; ends == 0;) {
    const auto received = from.receive_up_to(token, items.data(), batch);
    for (std::size_t i = 0; i != received; ++i)
      items[i] == end_mark ? void(++ends) : result.add(items[i]);
    for (std::size_t i = 1; i < ends; ++i)
      from.end();
  }
  return result;
}

}  // namespace

figures moodycamel_queue(const case_options& options) {
  bounded_queue between;
  arrivals all;
  const stopwatch watch;
  {
    std::vector<std::jthread> consumers, producers;
    for (unsigned i = 0; i != options.consumers; ++i)
      consumers.emplace_back(
          [&] { all.add(options.batch == 1 ? consume(between) : consume_batches(between, options.batch)); });
    for (unsigned i = 0; i != options.producers; ++i)
      producers.emplace_back([&, i] { produce(between, share_of(options, i)); });
    producers.clear();
    for (unsigned i = 0; i != options.consumers; ++i)
      between.end();
  }
  all.add(between.rest());
  auto result = watch.stop(options.items);
  all.check(options);
  return result;
}

}  // namespace troupe::bench
