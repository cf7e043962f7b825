/// A queue: two producers, one consumer, and an end that nobody has to announce.

#include "actors/supervision/pool_task.hpp"
#include "actors/supervision/runtime.hpp"

#include <iostream>

using namespace troupe;
using boost::asio::awaitable;
using boost::asio::use_awaitable;

namespace {

// [queue]
awaitable<expected<void>> produce(const send_half<int>& out, int from, cancel_token token) {
  for (int item = from; item < from + 3; ++item)
    if (auto sent = co_await async(out.send(item), token, use_awaitable); !sent)
      co_return sent;
  co_return expected<void>{};
}

awaitable<expected<int>> consume(const receive_half<int>& in, cancel_token token) {
  int sum = 0;
  auto item = co_await async(in.receive(), token, use_awaitable);
  for (; item; item = co_await async(in.receive(), token, use_awaitable))
    sum += *item;
  if (item.error().code != status_code::out_of_range)  // which is the end of the stream
    co_return item.error();
  co_return sum;
}

awaitable<expected<void>> queue(runtime& all) {
  auto [sender, receiver] = *make_stream<int>(10);
  task_group group{all.token()};
  group.start_soon(all.executor(), std::bind_front(produce, *sender.clone(), 1));
  group.start_soon(all.executor(), std::bind_front(produce, std::move(sender), 11));
  const auto sum = group.start_soon(all.executor(), std::bind_front(consume, std::move(receiver)));
  auto left = co_await async(group.leave(), all.token(), use_awaitable);
  if (left)
    std::cout << "the sum is " << *sum.result() << "\n";
  co_return left;
}
// [/queue]

}  // namespace

int main() {
  return run(queue);
}
