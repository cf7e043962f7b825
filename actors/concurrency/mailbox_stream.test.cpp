#include "actors/concurrency/mailbox_stream.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <semaphore>
#include <thread>

namespace troupe {
namespace {

struct counting_waiter final : stream_waiter {
  void wake() override { ++wakes; }
  int wakes = 0;
};

TEST(mailbox_stream, is_first_in_first_out_and_bounded) {
  mailbox_stream<int> stream{2};
  EXPECT_EQ(stream.try_send(1), send_result::sent);
  EXPECT_EQ(stream.try_send(2), send_result::sent);
  EXPECT_EQ(stream.try_send(3), send_result::full);
  EXPECT_EQ(stream.try_receive(), 1);
  EXPECT_EQ(stream.try_receive(), 2);
  EXPECT_EQ(stream.try_receive(), std::nullopt);
  EXPECT_EQ(mailbox_stream<int>{}.stats().capacity, 128u);
}

TEST(mailbox_stream, leaves_a_refused_item_with_its_sender) {
  mailbox_stream<std::unique_ptr<int>> stream{1};
  EXPECT_EQ(stream.try_send(std::make_unique<int>(1)), send_result::sent);
  auto mine = std::make_unique<int>(2);
  EXPECT_EQ(stream.try_send(std::move(mine)), send_result::full);
  ASSERT_TRUE(mine);
  stream.close();
  EXPECT_EQ(stream.try_send(std::move(mine)), send_result::closed);
  ASSERT_TRUE(mine);
}

TEST(mailbox_stream, closed_is_drained_before_it_ends) {
  mailbox_stream<int> stream;
  EXPECT_EQ(stream.try_send(1), send_result::sent);
  stream.close();
  stream.close();
  EXPECT_EQ(stream.try_receive(), 1);
  counting_waiter waiter;
  EXPECT_EQ(stream.receive_or_park(waiter), std::nullopt);
  EXPECT_EQ(stream.stats().waiting, 0u) << "nothing to wait for on a closed stream";
}

TEST(mailbox_stream, wakes_one_waiter_an_item_in_order_of_arrival) {
  mailbox_stream<int> stream;
  counting_waiter first, second;
  EXPECT_EQ(stream.receive_or_park(first), std::nullopt);
  EXPECT_EQ(stream.receive_or_park(second), std::nullopt);
  EXPECT_EQ(stream.try_send(1), send_result::sent);
  EXPECT_EQ(first.wakes, 1);
  EXPECT_EQ(second.wakes, 0);
  EXPECT_EQ(stream.try_send(2), send_result::sent);
  EXPECT_EQ(second.wakes, 1);
  EXPECT_EQ(stream.try_send(3), send_result::sent);
  EXPECT_EQ(first.wakes + second.wakes, 2) << "nobody is parked any more";
}

TEST(mailbox_stream, does_not_park_where_an_item_is) {
  mailbox_stream<int> stream;
  counting_waiter waiter;
  EXPECT_EQ(stream.try_send(1), send_result::sent);
  EXPECT_EQ(stream.receive_or_park(waiter), 1);
  EXPECT_EQ(stream.stats().waiting, 0u);
}

TEST(mailbox_stream, closing_wakes_everybody) {
  mailbox_stream<int> stream;
  counting_waiter first, second;
  EXPECT_EQ(stream.receive_or_park(first), std::nullopt);
  EXPECT_EQ(stream.receive_or_park(second), std::nullopt);
  stream.close();
  EXPECT_EQ(first.wakes + second.wakes, 2);
}

TEST(mailbox_stream, who_was_woken_in_vain_passes_on) {
  mailbox_stream<int> stream;
  counting_waiter leaves, stays;
  EXPECT_EQ(stream.receive_or_park(leaves), std::nullopt);
  EXPECT_EQ(stream.receive_or_park(stays), std::nullopt);
  EXPECT_EQ(stream.try_send(1), send_result::sent);
  EXPECT_FALSE(stream.unpark(leaves));
  stream.pass_on();
  EXPECT_EQ(stays.wakes, 1);
  stream.pass_on();
  EXPECT_EQ(stream.try_receive(), 1);
}

TEST(mailbox_stream, unpark_takes_back) {
  mailbox_stream<int> stream;
  counting_waiter waiter;
  EXPECT_EQ(stream.receive_or_park(waiter), std::nullopt);
  EXPECT_TRUE(stream.unpark(waiter));
  EXPECT_EQ(stream.try_send(1), send_result::sent);
  EXPECT_EQ(waiter.wakes, 0);
}

TEST(mailbox_stream, takes_unwanted_items_from_anywhere) {
  mailbox_stream<int> stream{6};
  for (int i = 0; i != 6; ++i)
    EXPECT_EQ(stream.try_send(int{i}), send_result::sent);
  EXPECT_EQ(stream.take_if([](int i) { return i % 2 == 1; }), (std::vector{1, 3, 5}));
  EXPECT_EQ(stream.stats().buffered, 3u);
  EXPECT_EQ(stream.try_receive(), 0);
  EXPECT_EQ(stream.try_receive(), 2);
}

// Senders, receivers that park, and a thief that takes items out: each item must end up in exactly one place, in its
// sender's order.
TEST(mailbox_stream, stress_conserves_items_and_order) {
  struct parked final : stream_waiter {
    void wake() override { ready.release(); }
    std::counting_semaphore<> ready{0};
  };
  struct item {
    int sender;
    int number;
  };
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  constexpr int senders = 3, each = 20'000;
  mailbox_stream<item> stream{16};
  std::atomic<int> received = 0, stolen = 0, disorder = 0;
  std::vector<std::jthread> producing, consuming;
  for (int r = 0; r != 2; ++r)
    consuming.emplace_back([&] {
      std::map<int, int> last;
      for (parked waiter;;) {
        if (const auto got = stream.receive_or_park(waiter)) {
          ++received;
          const auto [i, first] = last.try_emplace(got->sender, got->number);
          disorder += !first && i->second >= got->number;
          i->second = got->number;
        } else if (stream.stats().closed) {
          stream.unpark(waiter);
          return;
        } else {
          waiter.ready.acquire();
        }
      }
    });
  for (int s = 0; s != senders; ++s)
    producing.emplace_back([&, s] {
      std::mt19937 random{seed + static_cast<unsigned>(s)};
      for (int n = 0; n != each;) {
        if (stream.try_send(item{s, n}) == send_result::sent)
          ++n;
        else
          std::this_thread::yield();
        if (random() % 512 == 0)
          stolen += static_cast<int>(stream.take_if([&](const item& i) { return i.number % 7 == 0; }).size());
      }
    });
  producing.clear();
  while (stream.stats().buffered > 0)
    std::this_thread::yield();
  stream.close();
  consuming.clear();
  EXPECT_EQ(received + stolen, senders * each);
  EXPECT_EQ(disorder, 0);
  EXPECT_EQ(stream.stats().waiting, 0u);
}

}  // namespace
}  // namespace troupe
