#include "actors/execution/request_queue.hpp"

#include "actors/concurrency/virtual_clock.hpp"
#include "actors/concurrency/wait.hpp"
#include "actors/execution/wait_estimate.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace troupe {
namespace {

using namespace std::chrono_literals;

/// Work that remembers why it was given up.
struct test_work final : queued_work {
  using queued_work::queued_work;

  void refuse(error why) override {
    const std::lock_guard lock{mutex};
    ++refusals;
    reason = std::move(why);
  }

  std::mutex mutex;
  int refusals = 0;
  error reason;
};

struct queue_test : testing::Test {
  std::shared_ptr<test_work> make(char name = '?', steady_clock::time_point deadline = no_deadline) {
    auto work = std::make_shared<test_work>(scope_options{.deadline = deadline, .clock = &time});
    work->priority = 1;
    names[work.get()] = name;
    return work;
  }

  std::shared_ptr<test_work> submit(char name, work_cost cost = {}, std::uint32_t priority = 1,
                                    steady_clock::time_point deadline = no_deadline, std::uint64_t client = 0) {
    auto work = make(name, deadline);
    work->cost = cost;
    work->priority = priority;
    work->client = client;
    const auto admitted = queue().submit(work);
    EXPECT_TRUE(admitted) << to_string(admitted.error());
    return work;
  }

  std::string take() {
    request_queue::batch batch;
    queue().take(batch);
    std::string taken;
    for (const auto& work : batch)
      taken += names.at(work.get());
    return taken;
  }

  /// Ends a batch, whose clients may come again.
  void answer(std::size_t pieces, steady_clock::duration took) {
    for (std::size_t i = 0; i != pieces; ++i)
      queue().answered();
    queue().ran(static_cast<std::int64_t>(pieces), took, pieces);
  }

  request_queue& queue() {
    if (!queue_)
      queue_.emplace(options, time);
    return *queue_;
  }

  /// Has the queue learn that a unit takes so long.
  void teach(steady_clock::duration a_unit) {
    submit('-');
    EXPECT_EQ(take(), "-");
    queue().ran(1, a_unit);
  }

  virtual_clock time{steady_clock::time_point{1h}};
  queue_options options;
  std::map<const queued_work*, char> names;
  std::optional<request_queue> queue_;
};

// -- Order

TEST_F(queue_test, gives_one_at_a_time_in_the_order_of_their_coming) {
  submit('a'), submit('b'), submit('c');
  EXPECT_EQ(take(), "a");
  EXPECT_EQ(take(), "b");
  EXPECT_EQ(take(), "c");
  EXPECT_EQ(take(), "");
}

TEST_F(queue_test, gives_the_most_urgent_first_and_among_those_whose_time_is_up_first) {
  submit('a');
  submit('b', {}, 2);
  submit('c', {}, 1, time.now() + 1s);
  submit('d', {}, 0);
  submit('e', {}, 1, time.now() + 500ms);
  std::string order;
  for (auto next = take(); !next.empty(); next = take())
    order += next;
  EXPECT_EQ(order, "decab");
}

TEST_F(queue_test, nobody_with_a_far_deadline_is_overtaken_for_ever) {
  submit('a', {}, 1, time.now() + 1h);
  time.advance(options.max_wait - 1s);
  submit('b', {}, 1, time.now() + 2s);
  EXPECT_EQ(take(), "a");
}

// -- Batches

TEST_F(queue_test, puts_together_what_fits) {
  options.batch = {.items = 4};
  submit('a', {2, 1}), submit('b', {3, 1}), submit('c', {1, 1}), submit('d', {1, 1}), submit('e', {1, 1});
  EXPECT_EQ(take(), "acd");
  EXPECT_EQ(take(), "be");
}

TEST_F(queue_test, keeps_the_budget_with_the_padding_and_runs_what_exceeds_it_alone) {
  options.batch = {.items = 100, .units = 100, .run_units = 1000};
  submit('a', {1, 10}), submit('b', {1, 30}), submit('c', {1, 40}), submit('d', {1, 10});
  EXPECT_EQ(take(), "abd") << "four of 40 would be 160";
  submit('e', {1, 1}), submit('f', {5, 200});
  EXPECT_EQ(take(), "ce");
  EXPECT_EQ(take(), "f");
}

TEST_F(queue_test, puts_texts_of_similar_length_together) {
  options.batch = {.items = 100, .units = 1000, .run_units = 16, .padding_part = 4};
  submit('a', {1, 12}), submit('b', {1, 200}), submit('c', {1, 12}), submit('d', {1, 14}), submit('e', {1, 190});
  EXPECT_EQ(take(), "acd");
  EXPECT_EQ(take(), "be");
}

TEST_F(queue_test, what_was_cancelled_gets_into_no_batch) {
  options.batch = {.items = 8};
  const auto a = submit('a'), b = submit('b');
  submit('c');
  a->scope().cancel(make_error(status_code::cancelled, "gone"));
  b->scope().cancel(make_error(status_code::cancelled, "gone"));
  EXPECT_EQ(take(), "c");
  EXPECT_EQ(a->reason.cause, "gone");
  EXPECT_EQ(b->refusals, 1);
  EXPECT_EQ(queue().stats().withdrawn, 2u);
}

TEST_F(queue_test, takes_only_what_the_head_is_asked_for) {
  submit('a');
  request_queue::batch batch;
  queue().take(batch, [](const auto&) { return false; });
  EXPECT_TRUE(batch.empty());
  queue().take(batch, [](const auto&) { return true; });
  EXPECT_EQ(batch.size(), 1u);
}

/// A worker that waits, and who told it.
struct waiting_worker final : pending<request_queue::told_by> {
  explicit waiting_worker(request_queue& queue) : ready(queue.ready()) { begun = !ready.begin(*this); }
  void wake() noexcept override { told = **result; }

  request_queue::ready_operation ready;
  bool begun;
  std::optional<request_queue::told_by> told;
};

TEST_F(queue_test, those_who_were_answered_are_waited_for_and_run_together) {
  options.batch = {.items = 8};
  submit('a'), submit('b'), submit('c');
  EXPECT_EQ(take(), "abc");
  answer(3, 4ms);
  submit('d');
  waiting_worker worker{queue()};
  ASSERT_TRUE(worker.begun) << "b and c come again";
  submit('e');
  EXPECT_FALSE(worker.told);
  submit('f');
  EXPECT_EQ(worker.told, request_queue::told_by::bringer);
  EXPECT_EQ(take(), "def");
}

TEST_F(queue_test, whoever_comes_alone_begins_at_once) {
  options.batch = {.items = 8};
  for (int i = 0; i != 3; ++i) {
    submit('a');
    EXPECT_EQ(take(), "a");
    answer(1, 4ms);
  }
}

TEST_F(queue_test, those_who_do_not_come_again_are_waited_for_no_longer_than_agreed) {
  options.batch = {.items = 8};
  submit('a'), submit('b'), submit('c');
  EXPECT_EQ(take(), "abc");
  answer(3, 4ms);
  submit('d');
  waiting_worker worker{queue()};
  time.advance(999us);
  EXPECT_FALSE(worker.told);
  time.advance(1us);
  EXPECT_EQ(worker.told, request_queue::told_by::other);
  EXPECT_EQ(take(), "d");
}

TEST_F(queue_test, nobody_is_waited_for_by_what_has_no_time_or_is_full) {
  options.batch = {.items = 3};
  submit('a'), submit('b'), submit('c');
  EXPECT_EQ(take(), "abc");
  answer(3, 4ms);
  submit('d', {}, 1, time.now() + 500us);
  EXPECT_EQ(take(), "") << "there is time yet";
  time.advance(499us);
  EXPECT_EQ(take(), "");
  submit('e', {2, 1});
  EXPECT_EQ(take(), "de");
}

TEST_F(queue_test, workers_who_are_idle_share_what_waits) {
  options.batch = {.items = 8};
  options.workers = 2;
  options.max_delay = 1ms;
  waiting_worker second{queue()}, first{queue()};
  for (const char name : {'a', 'b', 'c', 'd', 'e'})
    submit(name);
  time.advance(1ms);
  ASSERT_TRUE(first.told && !second.told);
  EXPECT_EQ(take(), "abc");
  EXPECT_EQ(second.told, request_queue::told_by::other);
  EXPECT_EQ(take(), "de");
}

TEST_F(queue_test, workers_who_take_turns_share_nothing) {
  options.batch = {.items = 8};
  options.max_delay = 1ms;
  waiting_worker second{queue()}, first{queue()};
  for (const char name : {'a', 'b', 'c'})
    submit(name);
  time.advance(1ms);
  ASSERT_TRUE(first.told);
  EXPECT_EQ(take(), "abc") << "there is a place for one only";
}

TEST_F(queue_test, tells_the_worker_that_worked_last) {
  waiting_worker rested{queue()};
  for (int i = 0; i != 3; ++i) {
    waiting_worker warm{queue()};
    submit('a');
    EXPECT_TRUE(warm.told);
    EXPECT_EQ(take(), "a");
  }
  EXPECT_FALSE(rested.told);
}

TEST_F(queue_test, tells_the_worker_with_places_that_waits_longest) {
  queue().add_places(4);
  waiting_worker first{queue()}, second{queue()};
  submit('a');
  EXPECT_TRUE(first.told && !second.told);
  EXPECT_EQ(take(), "a");
  waiting_worker again{queue()};
  submit('b');
  EXPECT_TRUE(second.told && !again.told);
}

TEST_F(queue_test, tells_one_worker_a_batch) {
  waiting_worker second{queue()}, first{queue()};
  EXPECT_TRUE(first.begun && second.begun);
  submit('a');
  EXPECT_EQ(first.told, request_queue::told_by::bringer);
  EXPECT_FALSE(second.told);
  submit('b');
  EXPECT_EQ(second.told, request_queue::told_by::bringer);
  waiting_worker third{queue()};
  EXPECT_FALSE(third.begun) << "there is something";
}

TEST_F(queue_test, a_worker_that_leaves_something_has_another_one_told) {
  options.batch = {.items = 8};
  options.max_delay = 10ms;
  waiting_worker second{queue()}, first{queue()};
  submit('a', {1, 10});
  submit('b', {1, 200});
  time.advance(10ms);
  ASSERT_TRUE(first.told);
  EXPECT_FALSE(second.told);
  EXPECT_EQ(take(), "a");
  EXPECT_EQ(second.told, request_queue::told_by::other);
  EXPECT_EQ(take(), "b");
}

TEST_F(queue_test, a_worker_that_does_not_take_passes_it_on) {
  waiting_worker second{queue()}, first{queue()};
  submit('a');
  ASSERT_TRUE(first.told);
  queue().pass_on();
  EXPECT_EQ(second.told, request_queue::told_by::other);
}

TEST_F(queue_test, a_worker_may_give_up) {
  waiting_worker worker{queue()};
  EXPECT_TRUE(worker.ready.abandon(worker, make_error(status_code::cancelled, "stop")));
  submit('a');
  EXPECT_FALSE(worker.told);
  EXPECT_FALSE(worker.ready.abandon(worker, {}));
}

TEST_F(queue_test, waits_for_a_fuller_batch_as_long_as_it_may) {
  options.batch = {.items = 3};
  options.max_delay = 10ms;
  waiting_worker worker{queue()};
  submit('a');
  time.advance(6ms);
  submit('b');
  time.advance(3ms);
  EXPECT_FALSE(worker.told);
  EXPECT_EQ(take(), "");
  time.advance(1ms);
  EXPECT_EQ(worker.told, request_queue::told_by::other);
  EXPECT_EQ(take(), "ab");
}

TEST_F(queue_test, does_not_wait_with_a_full_batch) {
  options.batch = {.items = 2};
  options.max_delay = 10ms;
  waiting_worker worker{queue()};
  submit('a'), submit('b'), submit('c');
  EXPECT_EQ(worker.told, request_queue::told_by::bringer);
  EXPECT_EQ(take(), "ab");
  EXPECT_EQ(take(), "");
  waiting_worker next{queue()};
  time.advance(10ms);
  EXPECT_TRUE(next.told);
  EXPECT_EQ(take(), "c");
}

TEST_F(queue_test, idle_it_keeps_no_timer) {
  submit('a');
  EXPECT_EQ(take(), "a");
  EXPECT_TRUE(time.jump()) << "the timer of what was taken";
  EXPECT_FALSE(time.jump());
}

// -- Admission

TEST_F(queue_test, refuses_what_finds_it_full_and_says_when_to_try_again) {
  options.capacity = 2;
  submit('a'), submit('b');
  const auto refused = queue().submit(make());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, status_code::resource_exhausted);
  EXPECT_EQ(refused.error().cause, "the request was not admitted: the queue is full with 2 requests");
  EXPECT_EQ(refused.error().retry_after, 1s) << "as nothing is known yet";
  EXPECT_EQ(queue().stats().refused, 1u);
  EXPECT_EQ(take(), "a");
  EXPECT_TRUE(queue().submit(make()));
}

TEST_F(queue_test, refuses_what_would_wait_too_long) {
  options.max_wait = 1s;
  teach(300ms);
  submit('a'), submit('b'), submit('c');
  EXPECT_EQ(queue().stats().wait, 900ms);
  submit('d');
  const auto refused = queue().submit(make());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().cause, "the request was not admitted: it would wait about 1200 ms, longer than 1000 ms");
  EXPECT_EQ(refused.error().retry_after, 600ms);
}

TEST_F(queue_test, refuses_at_once_what_cannot_meet_its_deadline) {
  teach(100ms);
  submit('a'), submit('b');
  const auto late = queue().submit(make('?', time.now() + 150ms));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, status_code::resource_exhausted);
  EXPECT_TRUE(queue().submit(make('?', time.now() + 250ms)));
  EXPECT_EQ(queue().submit(make('?', time.now())).error().code, status_code::deadline_exceeded);
  EXPECT_EQ(queue().submit(make('?', time.now() - 1h)).error().code, status_code::deadline_exceeded);
}

TEST_F(queue_test, foretells_the_wait_of_the_urgent_without_those_behind_them) {
  teach(100ms);
  submit('a', {}, 2), submit('b', {}, 2), submit('c', {}, 2);
  const auto urgent = make('u', time.now() + 50ms);
  EXPECT_TRUE(queue().submit(urgent));
}

TEST_F(queue_test, foretells_the_wait_for_what_runs_too) {
  options.max_wait = 1s;
  teach(600ms);
  submit('a');
  EXPECT_EQ(take(), "a");
  submit('b');
  const auto refused = queue().submit(make());
  ASSERT_FALSE(refused) << "one runs and one waits, which is 1200 ms";
  queue().ran(1, 600ms);
  EXPECT_TRUE(queue().submit(make()));
}

TEST_F(queue_test, foretells_no_wait_while_there_is_a_place) {
  options.max_wait = 1s;
  teach(600ms);
  queue().add_places(3);
  for (const char name : {'a', 'b', 'c'}) {
    submit(name);
    EXPECT_EQ(take(), std::string{name});
  }
  submit('d');
  const auto refused = queue().submit(make());
  ASSERT_FALSE(refused) << "one of three has to end, and then the one that waits";
  EXPECT_EQ(refused.error().cause, "the request was not admitted: it would wait about 1200 ms, longer than 1000 ms");
  queue().ran(1, 600ms);
  EXPECT_EQ(take(), "d");
  submit('e');
  queue().add_places(2);
  submit('f');
  queue().add_places(-5);
  EXPECT_FALSE(queue().submit(make())) << "nobody has places any more: all that runs is waited for";
}

TEST_F(queue_test, what_is_put_back_has_its_old_place_and_is_not_counted_again) {
  options.capacity = 2;
  submit('a'), submit('b');
  request_queue::batch taken;
  queue().take(taken);
  submit('c');
  EXPECT_FALSE(queue().submit(make())) << "it is full";
  queue().put_back(taken.front());
  EXPECT_EQ(queue().stats().queued, 3u);
  EXPECT_EQ(queue().stats().admitted, 3u);
  EXPECT_EQ(take(), "a");
  EXPECT_EQ(take(), "b");
  EXPECT_EQ(take(), "c");
}

TEST_F(queue_test, what_ran_before_shares_no_batch) {
  options.batch = {.items = 8};
  submit('a'), submit('b'), submit('c');
  request_queue::batch taken;
  queue().take(taken);
  submit('d'), submit('e');
  for (const auto& work : taken) {
    work->ran_before = names.at(work.get()) != 'b';
    queue().put_back(work);
  }
  EXPECT_EQ(take(), "a");
  EXPECT_EQ(take(), "bde");
  EXPECT_EQ(take(), "c");
}

TEST_F(queue_test, what_is_put_back_too_late_or_cancelled_is_given_up) {
  options.max_wait = 1s;
  const auto late = submit('a'), cancelled = submit('b');
  request_queue::batch first, second;
  queue().take(first);
  queue().take(second);
  cancelled->scope().cancel(make_error(status_code::cancelled, "gone"));
  time.advance(2s);
  queue().put_back(first.front());
  queue().put_back(second.front());
  EXPECT_EQ(take(), "");
  EXPECT_EQ(late->refusals, 1);
  EXPECT_EQ(cancelled->refusals, 1);
}

TEST_F(queue_test, a_worker_is_told_of_what_is_put_back) {
  submit('a');
  request_queue::batch taken;
  queue().take(taken);
  waiting_worker waits{queue()};
  queue().put_back(taken.front());
  EXPECT_EQ(waits.told, request_queue::told_by::other);
}

TEST_F(queue_test, gives_up_what_has_waited_too_long_after_all) {
  options.max_wait = 1s;
  const auto a = submit('a');
  time.advance(500ms);
  const auto b = submit('b');
  time.advance(500ms);
  EXPECT_EQ(a->reason.code, status_code::resource_exhausted);
  EXPECT_EQ(b->refusals, 0);
  EXPECT_EQ(queue().stats().expired, 1u);
  time.advance(500ms);
  EXPECT_EQ(b->refusals, 1);
  EXPECT_EQ(take(), "");
}

TEST_F(queue_test, the_client_that_has_most_makes_room_for_the_others) {
  options.capacity = 4;
  submit('a', {}, 1, no_deadline, 1), submit('b', {}, 1, no_deadline, 1), submit('c', {}, 1, no_deadline, 1);
  const auto newest = submit('d', {}, 1, no_deadline, 1);
  const auto own = make();
  own->client = 1;
  EXPECT_FALSE(queue().submit(own)) << "it can't push itself out";
  submit('x', {}, 1, no_deadline, 2);
  EXPECT_EQ(newest->refusals, 1);
  EXPECT_EQ(newest->reason.code, status_code::resource_exhausted);
  submit('y', {}, 1, no_deadline, 2);
  const auto third = make();
  third->client = 2;
  EXPECT_FALSE(queue().submit(third)) << "now they have the same";
  EXPECT_EQ(queue().stats().queued, 4u);
}

TEST_F(queue_test, nobody_makes_room_for_what_is_less_urgent) {
  options.capacity = 3;
  submit('a', {}, 1, no_deadline, 1), submit('b', {}, 1, no_deadline, 1), submit('c', {}, 1, no_deadline, 1);
  const auto late = make();
  late->client = 2;
  late->priority = 2;
  EXPECT_FALSE(queue().submit(late));
}

TEST_F(queue_test, what_is_withdrawn_is_out_and_hears_nothing) {
  const auto a = submit('a');
  EXPECT_TRUE(queue().withdraw(*a));
  EXPECT_FALSE(queue().withdraw(*a));
  EXPECT_EQ(a->refusals, 0);
  EXPECT_TRUE(queue().submit(a)) << "it may come again";
  EXPECT_EQ(queue().withdraw_if([](const auto&) { return true; }).size(), 1u);
  EXPECT_EQ(queue().stats().queued, 0u);
}

TEST_F(queue_test, gives_up_what_is_left_at_its_end) {
  const auto left = submit('a');
  queue_.reset();
  EXPECT_EQ(left->reason.code, status_code::unavailable);
  EXPECT_EQ(left.use_count(), 1);
}

TEST_F(queue_test, learns_from_how_fast_it_drains_when_all_are_at_work) {
  options.workers = 1;
  for (int i = 0; i != 60; ++i)
    submit('a');
  for (int i = 0; i != 40; ++i) {
    EXPECT_EQ(take(), "a");
    time.advance(10ms);
    queue().ran(1, 1ms);  // the worker waits 9 ms for its device each time
  }
  const auto wait = queue().stats().wait;
  EXPECT_GT(wait, 180ms);
  EXPECT_LE(wait, 200ms);
}

TEST(wait_estimate, forgets_its_first_observation_with_the_second) {
  wait_estimate estimate;
  estimate.ran(1, 10s, 1);
  EXPECT_EQ(estimate.wait(1), 10s) << "it is all there is";
  estimate.ran(1, 1s, 1);
  EXPECT_EQ(estimate.wait(1), 1s);
  estimate.ran(1, 3s, 1);
  EXPECT_EQ(estimate.wait(1), 2s) << "the mean of the few";
}

TEST(wait_estimate, knows_nothing_before_anything_has_run) {
  wait_estimate estimate;
  EXPECT_FALSE(estimate.wait(10));
  estimate.ran(0, 1s, 1);
  EXPECT_FALSE(estimate.wait(10));
  estimate.ran(2, 1s, 2);
  EXPECT_EQ(estimate.wait(4), 1s);
  EXPECT_EQ(estimate.wait(1e30), 24h);
}

// -- Conservation

TEST(request_queue, stress_each_admitted_piece_of_work_has_one_end) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  constexpr std::size_t producers = 3, consumers = 2, each = 3000;
  request_queue queue{{.capacity = 64, .max_wait = 50ms, .max_delay = 100us, .batch = {.items = 5}, .workers = 2}};
  std::vector<std::vector<std::shared_ptr<test_work>>> admitted(producers);
  std::atomic<std::size_t> taken = 0, withdrawn = 0, refused = 0;
  cancel_scope consuming;
  std::vector<std::jthread> workers;
  for (std::size_t c = 0; c != consumers; ++c)
    workers.emplace_back([&] {
      request_queue::batch batch;
      while (wait(queue.ready(), consuming.token()))
        for (queue.take(batch); !batch.empty(); queue.take(batch)) {
          EXPECT_LE(batch.size(), 5u);
          taken += batch.size();
          for (std::size_t i = 0; i != batch.size(); ++i)
            queue.answered();
          queue.ran(static_cast<std::int64_t>(batch.size()), 1ms, batch.size());
        }
    });
  {
    std::vector<std::jthread> threads;
    for (std::size_t p = 0; p != producers; ++p)
      threads.emplace_back([&, p] {
        std::mt19937 random{seed + static_cast<unsigned>(p)};
        for (std::size_t i = 0; i != each; ++i) {
          auto work = std::make_shared<test_work>();
          work->client = p;
          work->priority = random() % 3;
          if (!queue.submit(work)) {
            ++refused;
            continue;
          }
          admitted[p].push_back(work);
          if (random() % 4 == 0 && queue.withdraw(*work))
            ++withdrawn;
        }
      });
  }
  while (queue.stats().queued > 0)
    std::this_thread::yield();
  consuming.cancel();
  workers.clear();
  std::size_t given_up = 0, in = 0;
  for (const auto& of_one : admitted)
    for (const auto& work : of_one) {
      ++in;
      const std::lock_guard lock{work->mutex};
      ASSERT_LE(work->refusals, 1);
      given_up += static_cast<std::size_t>(work->refusals);
    }
  EXPECT_EQ(in, taken + withdrawn + given_up);
  EXPECT_EQ(queue.stats().admitted, in);
  EXPECT_EQ(in + refused, producers * each);
}

}  // namespace
}  // namespace troupe
