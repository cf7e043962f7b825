#include "actors/concurrency/stream.hpp"

#include "actors/concurrency/callers.hpp"
#include "actors/concurrency/log.hpp"

#include <spdlog/spdlog.h>

namespace troupe {
namespace {

using namespace std::chrono_literals;

stream<int> stream_of(std::int64_t capacity) {
  return *make_stream<int>(capacity);
}

stream_statistics buffered(std::size_t items, std::size_t capacity, std::size_t senders = 0,
                           std::size_t receivers = 0) {
  return {items, capacity, 1, 1, senders, receivers};
}

template <class Caller>
class stream_rules : public with_caller<Caller> {};

TYPED_TEST_SUITE(stream_rules, all_callers, caller_names);

TEST(stream, MS_1_a_capacity_is_0_or_more_or_unbounded) {
  EXPECT_EQ(code_of(make_stream<int>(-1)), status_code::invalid_argument);
  EXPECT_EQ(stream_of(0).sender.statistics().capacity, 0u);
  EXPECT_EQ(make_stream<int>().sender.statistics().capacity, 128u);
  EXPECT_EQ(make_stream<int>(unbounded).sender.statistics().capacity, SIZE_MAX);
}

TYPED_TEST(stream_rules, MS_2_capacity_0_hands_over_from_hand_to_hand) {
  auto [sender, receiver] = stream_of(0);
  EXPECT_EQ(code_of(sender.try_send(1)), status_code::resource_exhausted);
  auto sending = this->start(sender.send(1));
  EXPECT_FALSE(sending.done());
  EXPECT_EQ(sender.statistics(), buffered(0, 0, 1, 0));
  EXPECT_EQ(*this->run(receiver.receive()), 1);
  EXPECT_TRUE(sending.get());
  auto receiving = this->start(receiver.receive());
  EXPECT_TRUE(sender.try_send(2));
  EXPECT_EQ(*receiving.get(), 2);
  EXPECT_EQ(code_of(sender.try_send(3)), status_code::resource_exhausted);
}

TYPED_TEST(stream_rules, MS_3_capacity_n_takes_n_without_waiting_and_the_next_send_waits_for_room) {
  auto [sender, receiver] = stream_of(2);
  EXPECT_TRUE(sender.try_send(1));
  EXPECT_TRUE(this->run(sender.send(2)));
  EXPECT_EQ(code_of(sender.try_send(3)), status_code::resource_exhausted);
  auto sending = this->start(sender.send(3));
  EXPECT_FALSE(sending.done());
  EXPECT_EQ(*receiver.try_receive(), 1);
  EXPECT_TRUE(sending.get());
  auto endless = make_stream<int>(unbounded);
  for (int i = 0; i != 1000; ++i)
    ASSERT_TRUE(endless.sender.try_send(std::move(i)));
  EXPECT_TRUE(this->run(endless.sender.send(1000)));
  EXPECT_EQ(endless.sender.statistics().buffered, 1001u);
}

TYPED_TEST(stream_rules, MS_4_items_senders_and_receivers_are_served_in_the_order_of_their_coming) {
  auto [sender, receiver] = stream_of(0);
  auto receiving_1 = this->start(receiver.receive());
  auto receiving_2 = this->start(receiver.receive());
  auto receiving_3 = this->start(receiver.receive());
  for (const int item : {1, 2, 3})
    EXPECT_TRUE(this->run(sender.send(item)));
  EXPECT_EQ(*receiving_1.get(), 1);
  EXPECT_EQ(*receiving_2.get(), 2);
  EXPECT_EQ(*receiving_3.get(), 3);
  auto sending_1 = this->start(sender.send(1));
  auto sending_2 = this->start(sender.send(2));
  EXPECT_EQ(*receiver.try_receive(), 1);
  EXPECT_TRUE(sending_1.get());
  EXPECT_FALSE(sending_2.done());
  EXPECT_EQ(*receiver.try_receive(), 2);
  EXPECT_TRUE(sending_2.get());
}

TYPED_TEST(stream_rules, MS_5_taking_an_item_lets_the_first_waiting_sender_move_up) {
  auto [sender, receiver] = stream_of(1);
  EXPECT_TRUE(sender.try_send(1));
  auto sending_2 = this->start(sender.send(2));
  auto sending_3 = this->start(sender.send(3));
  EXPECT_EQ(*receiver.try_receive(), 1);
  EXPECT_EQ(sender.statistics(), buffered(1, 1, 1, 0));
  EXPECT_TRUE(sending_2.get());
  EXPECT_EQ(*receiver.try_receive(), 2);
  EXPECT_TRUE(sending_3.get());
  EXPECT_EQ(*receiver.try_receive(), 3);
  EXPECT_EQ(code_of(receiver.try_receive()), status_code::resource_exhausted);
  auto direct = stream_of(0);
  auto sending = this->start(direct.sender.send(4));
  EXPECT_EQ(*direct.receiver.try_receive(), 4);
  EXPECT_TRUE(sending.get());
  EXPECT_EQ(code_of(direct.receiver.try_receive()), status_code::resource_exhausted);
}

TYPED_TEST(stream_rules, MS_6_every_item_goes_to_one_receiver) {
  auto [sender, receiver] = stream_of(1);
  auto receiving_1 = this->start(receiver.receive());
  auto receiving_2 = this->start(receiver.receive());
  EXPECT_TRUE(sender.try_send(1));
  EXPECT_EQ(*receiving_1.get(), 1);
  EXPECT_FALSE(receiving_2.done());
  EXPECT_EQ(sender.statistics(), buffered(0, 1, 0, 1));
  EXPECT_TRUE(sender.try_send(2));
  EXPECT_EQ(*receiving_2.get(), 2);
  EXPECT_EQ(sender.statistics(), buffered(0, 1));
}

TEST(stream, MS_7_MS_8_each_handle_is_closed_on_its_own_and_the_side_with_the_last) {
  auto [sender, receiver] = stream_of(1);
  auto second = *sender.clone();
  EXPECT_EQ(sender.statistics().open_senders, 2u);
  sender.close();
  sender.close();
  EXPECT_EQ(second.statistics().open_senders, 1u);
  EXPECT_EQ(code_of(sender.clone()), status_code::failed_precondition);
  EXPECT_TRUE(second.try_send(1));
  EXPECT_EQ(*receiver.try_receive(), 1);
  EXPECT_EQ(code_of(receiver.try_receive()), status_code::resource_exhausted);
  second.close();
  EXPECT_EQ(code_of(receiver.try_receive()), status_code::out_of_range);
  auto other = *receiver.clone();
  EXPECT_EQ(receiver.statistics().open_receivers, 2u);
  receiver.close();
  EXPECT_EQ(code_of(receiver.clone()), status_code::failed_precondition);
  EXPECT_EQ(other.statistics().open_receivers, 1u);
}

TYPED_TEST(stream_rules, MS_9_without_senders_the_buffer_is_drained_and_then_the_stream_ends) {
  auto [sender, receiver] = stream_of(2);
  EXPECT_TRUE(sender.try_send(1));
  EXPECT_TRUE(sender.try_send(2));
  sender.close();
  EXPECT_EQ(*this->run(receiver.receive()), 1);
  EXPECT_EQ(*receiver.try_receive(), 2);
  EXPECT_EQ(code_of(this->run(receiver.receive())), status_code::out_of_range);
  EXPECT_EQ(code_of(this->run(receiver.receive_up_to(3))), status_code::out_of_range);
  auto waited_for = stream_of(2);
  auto receiving = this->start(waited_for.receiver.receive());
  auto receiving_many = this->start(waited_for.receiver.receive_up_to(2));
  waited_for.sender.close();
  EXPECT_EQ(code_of(receiving.get()), status_code::out_of_range);
  EXPECT_EQ(code_of(receiving_many.get()), status_code::out_of_range);
}

TYPED_TEST(stream_rules, MS_10_without_receivers_senders_are_refused_also_those_who_wait) {
  auto [sender, receiver] = stream_of(0);
  auto sending = this->start(sender.send(1));
  receiver.close();
  EXPECT_EQ(code_of(sending.get()), status_code::aborted);
  EXPECT_EQ(sending.operation().item, 1);
  EXPECT_EQ(code_of(sender.try_send(2)), status_code::aborted);
  EXPECT_EQ(code_of(this->run(sender.send(2))), status_code::aborted);
  EXPECT_EQ(sender.statistics().waiting_senders, 0u);
}

TYPED_TEST(stream_rules, MS_11_a_closed_handle_is_refused_as_such_whatever_the_other_side_is_at) {
  auto [sender, receiver] = stream_of(1);
  EXPECT_TRUE(sender.try_send(1));
  sender.close();
  receiver.close();
  EXPECT_EQ(code_of(sender.try_send(2)), status_code::failed_precondition);
  EXPECT_EQ(code_of(this->run(sender.send(2))), status_code::failed_precondition);
  EXPECT_EQ(code_of(receiver.try_receive()), status_code::failed_precondition);
  EXPECT_EQ(code_of(this->run(receiver.receive())), status_code::failed_precondition);
  EXPECT_EQ(code_of(this->run(receiver.receive_up_to(2))), status_code::failed_precondition);
}

TYPED_TEST(stream_rules, MS_11_a_half_that_was_moved_from_is_closed) {
  auto [sender, receiver] = stream_of(1);
  auto new_sender = std::move(sender);
  auto new_receiver = std::move(receiver);
  EXPECT_EQ(code_of(sender.try_send(2)), status_code::failed_precondition);
  EXPECT_EQ(code_of(sender.clone()), status_code::failed_precondition);
  EXPECT_EQ(code_of(this->run(sender.send(2))), status_code::failed_precondition);
  EXPECT_EQ(code_of(receiver.try_receive()), status_code::failed_precondition);
  EXPECT_EQ(code_of(receiver.clone()), status_code::failed_precondition);
  EXPECT_EQ(code_of(this->run(receiver.receive())), status_code::failed_precondition);
  EXPECT_EQ(code_of(this->run(receiver.receive_up_to(2))), status_code::failed_precondition);
  EXPECT_TRUE(receiver.take_if([](int) { return true; }).empty());
  EXPECT_EQ(sender.statistics(), stream_statistics{});
  sender.close();
  receiver.close();
  EXPECT_EQ(new_sender.statistics(), buffered(0, 1));
}

TYPED_TEST(stream_rules, MS_12_closing_a_handle_wakes_who_waits_on_it_and_nobody_else) {
  auto [sender, receiver] = stream_of(0);
  auto other_receiver = *receiver.clone();
  auto receiving = this->start(receiver.receive());
  auto receiving_elsewhere = this->start(other_receiver.receive());
  receiver.close();
  EXPECT_EQ(code_of(receiving.get()), status_code::failed_precondition);
  EXPECT_FALSE(receiving_elsewhere.done());
  EXPECT_TRUE(sender.try_send(1));
  EXPECT_EQ(*receiving_elsewhere.get(), 1);
  auto other_sender = *sender.clone();
  auto sending = this->start(sender.send(2));
  auto sending_elsewhere = this->start(other_sender.send(3));
  sender.close();
  EXPECT_EQ(code_of(sending.get()), status_code::failed_precondition);
  EXPECT_EQ(sending.operation().item, 2);
  EXPECT_EQ(*other_receiver.try_receive(), 3);
  EXPECT_TRUE(sending_elsewhere.get());
}

TYPED_TEST(stream_rules, MS_13_reading_in_a_loop_ends_with_the_stream) {
  auto [sender, receiver] = stream_of(3);
  for (const int item : {1, 2, 3})
    EXPECT_TRUE(this->run(sender.send(item)));
  sender.close();
  std::vector<int> read;
  while (auto item = this->run(receiver.receive()))
    read.push_back(*item);
  EXPECT_EQ(read, (std::vector{1, 2, 3}));
}

TYPED_TEST(stream_rules, MS_14_in_a_cancelled_scope_nothing_is_moved) {
  auto [sender, receiver] = stream_of(2);
  EXPECT_TRUE(sender.try_send(1));
  this->scope.cancel();
  auto sending = this->start(sender.send(2));
  EXPECT_EQ(code_of(sending.get()), status_code::cancelled);
  EXPECT_EQ(sending.operation().item, 2);
  EXPECT_EQ(code_of(this->run(receiver.receive())), status_code::cancelled);
  EXPECT_EQ(code_of(this->run(receiver.receive_up_to(5))), status_code::cancelled);
  EXPECT_EQ(sender.statistics(), buffered(1, 2));
}

TYPED_TEST(stream_rules, MS_15_a_cancelled_receiver_counts_no_more) {
  auto [sender, receiver] = stream_of(0);
  auto receiving = this->start(receiver.receive());
  this->scope.cancel();
  EXPECT_EQ(code_of(receiving.get()), status_code::cancelled);
  EXPECT_EQ(sender.statistics(), buffered(0, 0));
  EXPECT_EQ(code_of(sender.try_send(1)), status_code::resource_exhausted);
}

TYPED_TEST(stream_rules, MS_16_the_item_of_a_cancelled_sender_is_not_delivered_and_stays_with_it) {
  auto [sender, receiver] = stream_of(0);
  auto sending = this->start(sender.send(7));
  this->scope.cancel();
  EXPECT_EQ(code_of(sending.get()), status_code::cancelled);
  EXPECT_EQ(sending.operation().item, 7);
  EXPECT_EQ(sender.statistics(), buffered(0, 0));
  EXPECT_EQ(code_of(receiver.try_receive()), status_code::resource_exhausted);
}

TYPED_TEST(stream_rules, MS_17_an_item_handed_over_is_received_though_cancelled) {
  for (int round = 0; round != 50; ++round) {
    auto [sender, receiver] = stream_of(0);
    cancel_scope inner{no_deadline, this->scope.token()};
    auto receiving = this->start(receiver.receive(), inner.token());
    EXPECT_TRUE(sender.try_send(3));
    inner.cancel();
    EXPECT_EQ(*receiving.get(), 3);
    EXPECT_EQ(code_of(this->run(receiver.receive(), inner.token())), status_code::cancelled);
  }
}

TYPED_TEST(stream_rules, MS_18_who_was_cancelled_first_is_skipped) {
  auto [sender, receiver] = stream_of(0);
  cancel_scope inner{no_deadline, this->scope.token()};
  auto cancelled = this->start(receiver.receive(), inner.token());
  auto next = this->start(receiver.receive());
  inner.cancel();
  EXPECT_TRUE(sender.try_send(3));
  EXPECT_EQ(*next.get(), 3);
  EXPECT_EQ(code_of(cancelled.get()), status_code::cancelled);
  cancel_scope second{no_deadline, this->scope.token()};
  auto alone = this->start(receiver.receive(), second.token());
  second.cancel();
  EXPECT_EQ(code_of(sender.try_send(4)), status_code::resource_exhausted);
  EXPECT_EQ(code_of(alone.get()), status_code::cancelled);
}

TYPED_TEST(stream_rules, MS_19_a_null_is_an_item) {
  auto [sender, receiver] = *make_stream<std::unique_ptr<int>>(1);
  EXPECT_TRUE(this->run(sender.send(nullptr)));
  sender.close();
  const auto item = this->run(receiver.receive());
  ASSERT_TRUE(item);
  EXPECT_EQ(*item, nullptr);
  EXPECT_EQ(code_of(this->run(receiver.receive())), status_code::out_of_range);
}

TYPED_TEST(stream_rules, MS_20_statistics_are_exact_and_the_same_from_both_sides) {
  auto [sender, receiver] = stream_of(1);
  const auto now = [&, &s = sender, &r = receiver] {
    EXPECT_EQ(s.statistics(), r.statistics());
    return s.statistics();
  };
  EXPECT_EQ(now(), buffered(0, 1));
  auto receiving = this->start(receiver.receive());
  EXPECT_EQ(now(), buffered(0, 1, 0, 1));
  EXPECT_TRUE(sender.try_send(1));
  EXPECT_EQ(now(), buffered(0, 1));
  EXPECT_TRUE(sender.try_send(2));
  EXPECT_EQ(now(), buffered(1, 1));
  auto sending = this->start(sender.send(3));
  EXPECT_EQ(now(), buffered(1, 1, 1, 0));
  EXPECT_EQ(*receiver.try_receive(), 2);
  EXPECT_EQ(now(), buffered(1, 1));
  EXPECT_EQ(*receiver.try_receive(), 3);
  EXPECT_EQ(now(), buffered(0, 1));
  EXPECT_EQ(*receiving.get(), 1);
  EXPECT_TRUE(sending.get());
}

std::string log_of(const std::function<void()>& work) {
  spdlog::drop("troupe");
  testing::internal::CaptureStderr();
  start_log(log_format::text, spdlog::level::info);
  work();
  spdlog::drop("troupe");
  return testing::internal::GetCapturedStderr();
}

TEST(stream, MS_21_the_log_says_when_items_are_dropped_with_their_stream) {
  EXPECT_NE(log_of([] {
              auto [sender, receiver] = stream_of(2);
              EXPECT_TRUE(sender.try_send(1));
            }).find("stream dropped with items in it items=1"),
            std::string::npos);
  EXPECT_EQ(log_of([] {
              auto [sender, receiver] = stream_of(2);
              EXPECT_TRUE(sender.try_send(1));
              receiver.close();
            }),
            "");
  EXPECT_EQ(log_of([] { static_cast<void>(stream_of(2)); }), "");
}

TYPED_TEST(stream_rules, MS_21_destroying_a_half_closes_it) {
  std::optional<stream<int>> both = stream_of(0);
  auto receiving = this->start(both->receiver.receive());
  { const auto dropped = std::move(both->sender); }
  EXPECT_EQ(code_of(receiving.get()), status_code::out_of_range);
  both = stream_of(0);
  auto sending = this->start(both->sender.send(1));
  { const auto dropped = std::move(both->receiver); }
  EXPECT_EQ(code_of(sending.get()), status_code::aborted);
}

TYPED_TEST(stream_rules, MS_21_a_half_that_is_assigned_to_closes_what_it_was) {
  auto first = stream_of(0);
  auto second = stream_of(0);
  auto receiving = this->start(first.receiver.receive());
  auto sending = this->start(second.sender.send(1));
  first.sender = std::move(second.sender);
  EXPECT_EQ(code_of(receiving.get()), status_code::out_of_range);
  EXPECT_FALSE(sending.done());
  second.receiver = std::move(first.receiver);
  EXPECT_EQ(code_of(sending.get()), status_code::aborted);
}

TYPED_TEST(stream_rules, MS_22_a_receive_that_timed_out_leaves_the_stream_usable) {
  auto [sender, receiver] = stream_of(0);
  auto timeout = move_on_after(1s, this->scope.token());
  auto receiving = this->start(receiver.receive(), timeout.token());
  this->clock.advance(999ms);
  EXPECT_FALSE(receiving.done());
  EXPECT_EQ(receiver.statistics().waiting_receivers, 1u);
  this->clock.advance(1ms);
  EXPECT_EQ(code_of(receiving.get()), status_code::deadline_exceeded);
  EXPECT_EQ(sender.statistics(), buffered(0, 0));
  auto next = this->start(receiver.receive());
  EXPECT_TRUE(sender.try_send(1));
  EXPECT_EQ(*next.get(), 1);
}

TYPED_TEST(stream_rules, MS_23_the_stream_ends_for_all_receivers_after_the_last_of_many_senders) {
  auto [sender, receiver] = stream_of(0);
  auto second = *sender.clone();
  auto other_receiver = *receiver.clone();
  auto receiving = this->start(receiver.receive());
  auto receiving_elsewhere = this->start(other_receiver.receive());
  EXPECT_TRUE(this->run(sender.send(1)));
  sender.close();
  EXPECT_EQ(*receiving.get(), 1);
  EXPECT_FALSE(receiving_elsewhere.done());
  EXPECT_TRUE(this->run(second.send(2)));
  EXPECT_EQ(*receiving_elsewhere.get(), 2);
  auto last = this->start(receiver.receive());
  auto last_elsewhere = this->start(other_receiver.receive());
  second.close();
  EXPECT_EQ(code_of(last.get()), status_code::out_of_range);
  EXPECT_EQ(code_of(last_elsewhere.get()), status_code::out_of_range);
}

TYPED_TEST(stream_rules, a_batch_is_one_item_at_least_and_what_has_come_since) {
  auto [sender, receiver] = stream_of(4);
  for (int item : {1, 2, 3})
    EXPECT_TRUE(sender.try_send(std::move(item)));
  EXPECT_EQ(*this->run(receiver.receive_up_to(2)), (std::vector{1, 2}));
  EXPECT_EQ(*this->run(receiver.receive_up_to(2)), (std::vector{3}));
  auto receiving = this->start(receiver.receive_up_to(8));
  EXPECT_TRUE(sender.try_send(4));
  EXPECT_EQ(receiving.get()->front(), 4);
}

TYPED_TEST(stream_rules, taking_items_out_lets_waiting_senders_move_up) {
  auto [sender, receiver] = stream_of(4);
  for (int item : {1, 2, 3, 4})
    EXPECT_TRUE(sender.try_send(std::move(item)));
  auto sending = this->start(sender.send(5));
  EXPECT_EQ(receiver.take_if([](int item) { return item % 2 == 0; }), (std::vector{2, 4}));
  EXPECT_TRUE(sending.get());
  EXPECT_EQ(*this->run(receiver.receive_up_to(9)), (std::vector{1, 3, 5}));
}

TEST(stream, a_receive_that_is_done_may_be_begun_again) {
  auto [sender, receiver] = stream_of(4);
  auto receive = receiver.receive();
  detail::sleeping<int> waiting;
  for (int item : {1, 2}) {
    EXPECT_FALSE(receive.begin(waiting));
    EXPECT_EQ(receiver.statistics().waiting_receivers, 1u);
    EXPECT_TRUE(sender.try_send(int{item}));
    EXPECT_EQ(**std::exchange(waiting.result, std::nullopt), item);
  }
  EXPECT_TRUE(sender.try_send(3));
  EXPECT_EQ(**receive.begin(waiting), 3);
  EXPECT_FALSE(receive.begin(waiting));
  EXPECT_TRUE(receive.abandon(waiting, make_error(status_code::cancelled, "enough")));
  EXPECT_EQ(receiver.statistics().waiting_receivers, 0u);
}

TEST(stream, an_item_that_is_given_back_is_the_next_again_or_goes_to_who_waits) {
  auto [sender, receiver] = stream_of(4);
  auto receive = receiver.receive();
  detail::sleeping<int> gone, waiting;
  EXPECT_FALSE(receive.begin(gone));
  EXPECT_TRUE(sender.try_send(1));
  EXPECT_TRUE(sender.try_send(2));
  receive.undo(**gone.result);
  EXPECT_EQ(*receiver.try_receive(), 1);
  EXPECT_EQ(*receiver.try_receive(), 2);
  EXPECT_FALSE(receive.begin(gone));
  EXPECT_FALSE(receive.begin(waiting));
  EXPECT_TRUE(sender.try_send(3));
  receive.undo(**gone.result);
  EXPECT_EQ(**waiting.result, 3);
}

TEST(stream, a_batch_that_is_given_back_is_received_in_its_order) {
  auto [sender, receiver] = stream_of(4);
  for (int item : {1, 2, 3})
    EXPECT_TRUE(sender.try_send(std::move(item)));
  auto batch = receiver.receive_up_to(3);
  detail::sleeping<std::vector<int>> nobody;
  auto items = *batch.begin(nobody);
  EXPECT_EQ(*items, (std::vector{1, 2, 3}));
  detail::sleeping<int> waiting;
  auto receiving = receiver.receive();
  EXPECT_FALSE(receiving.begin(waiting));
  batch.undo(*std::move(items));
  EXPECT_EQ(**waiting.result, 1);
  EXPECT_EQ(*receiver.try_receive(), 2);
  EXPECT_EQ(*receiver.try_receive(), 3);
}

}  // namespace
}  // namespace troupe
