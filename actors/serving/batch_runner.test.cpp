#include "actors/serving/batch_runner.hpp"

#include "actors/concurrency/virtual_clock.hpp"
#include "actors/serving/testing.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <semaphore>
#include <stdexcept>
#include <utility>

namespace troupe {
namespace {

using testing::HasSubstr;
using testing_support::await;
using testing_support::recorded_call;
using testing_support::scripted_instance;

struct runner_test : testing::Test {
  runner_test() {
    model_folder folder;
    folder.name = "m";
    folder.queue.capacity = 4;
    model = std::make_shared<served_model>(std::move(folder), [] {});
    testing_support::make_ready(*model);
  }

  std::shared_ptr<batch_runner> start(testing_support::work what, bool immediate = false) {
    auto runner =
        std::make_shared<batch_runner>(std::make_unique<scripted_instance>(std::move(what), immediate), model, pool);
    runner->start();
    return runner;
  }

  void await_parked(std::size_t runners = 1) {
    await([&] { return model->calls().stats().idle_workers == runners; });
  }

  std::shared_ptr<recorded_call> submit() {
    auto call = std::make_shared<recorded_call>();
    EXPECT_TRUE(model->submit(call));
    return call;
  }

  /// Stops a runner and waits for its end.
  void stop(batch_runner& runner) {
    std::binary_semaphore stopped{0};
    runner.stop(make_error(status_code::unavailable, "stopping"), [&] { stopped.release(); });
    stopped.acquire();
  }

  void take_both_slots() {
    for (auto& taken : slots) {
      auto slot = pool->try_lease();
      ASSERT_TRUE(slot);
      taken.emplace(*std::move(slot));
    }
  }
  void give_slots_back() {
    for (auto& taken : slots)
      taken.reset();
  }

  std::shared_ptr<executor_pool> pool = std::make_shared<executor_pool>("CPU", pool_capacity{2});
  std::optional<executor_pool::lease> slots[2];
  std::shared_ptr<served_model> model;
};

expected<inference_response> nothing(const inference_request&, const cancel_token&) {
  return inference_response{};
}

TEST_F(runner_test, answers_what_was_queued_before_and_comes_after_it_started) {
  const auto before = submit();
  const auto runner = start(nothing);
  EXPECT_TRUE(before->wait());
  await([&] { return model->calls().stats().idle_workers == 1; });
  EXPECT_TRUE(submit()->wait());
  stop(*runner);
  EXPECT_EQ(model->counts().read().executions, 2u);
}

TEST_F(runner_test, an_idle_runner_holds_no_slot) {
  const auto runner = start(nothing);
  await([&] { return pool->stats().busy == 0 && model->calls().stats().idle_workers == 1; });
  stop(*runner);
}

TEST_F(runner_test, contains_whatever_the_skillset_throws) {
  const auto runner = start([](const auto&, const auto&) -> expected<inference_response> { throw 42; });
  EXPECT_EQ(submit()->wait().error().code, status_code::internal);
  EXPECT_EQ(submit()->wait().error().code, status_code::internal) << "and goes on";
  stop(*runner);
  const auto other =
      start([](const auto&, const auto&) -> expected<inference_response> { throw std::runtime_error{"out of luck"}; });
  EXPECT_EQ(submit()->wait().error().cause, "the skillset failed: out of luck");
  stop(*other);
}

TEST_F(runner_test, a_call_cancelled_in_the_queue_never_runs) {
  std::binary_semaphore running{0}, go{0};
  const auto runner = start([&](const auto&, const auto&) -> expected<inference_response> {
    running.release();
    go.acquire();
    return inference_response{};
  });
  const auto first = submit();
  running.acquire();
  const auto withdrawn = submit();
  const auto cancelled = submit();
  withdrawn->scope().cancel(make_error(status_code::cancelled, "gone"));
  EXPECT_TRUE(model->withdraw(*withdrawn));
  EXPECT_FALSE(model->withdraw(*withdrawn)) << "it is out already";
  cancelled->scope().cancel(make_error(status_code::cancelled, "gone"));
  go.release();
  EXPECT_TRUE(first->wait());
  EXPECT_EQ(cancelled->wait().error().cause, "gone");
  EXPECT_FALSE(withdrawn->answered()) << "whoever withdraws a call answers it";
  stop(*runner);
  EXPECT_EQ(model->counts().read().executions, 1u);
  EXPECT_EQ(model->calls().stats().withdrawn, 2u);
}

TEST_F(runner_test, stopping_cancels_what_runs_and_leaves_what_is_queued) {
  std::binary_semaphore running{0};
  const auto runner = start([&](const auto&, const cancel_token& token) -> expected<inference_response> {
    running.release();
    await([&] { return token.cancelled(); });
    return token.reason();
  });
  const auto current = submit();
  running.acquire();
  const auto queued = submit();
  stop(*runner);
  EXPECT_EQ(current->wait().error().cause, "stopping");
  EXPECT_FALSE(queued->answered());
  const auto next = start(nothing);
  EXPECT_TRUE(queued->wait()) << "the next instance takes it";
  stop(*next);
}

TEST_F(runner_test, an_instance_that_goes_on_with_what_was_cancelled_is_told_of_until_it_ends) {
  virtual_clock time{steady_clock::now()};
  const auto grace = model->folder().host.cancel_grace;
  std::binary_semaphore running{0}, go_on{0};
  const auto runner = start([&](const auto& request, const auto& token) {
    running.release();
    go_on.acquire();
    return nothing(request, token);
  });
  const auto call = std::make_shared<recorded_call>(scope_options{.clock = &time});
  EXPECT_TRUE(model->submit(call));
  running.acquire();
  time.advance(2 * grace);
  EXPECT_EQ(model->stuck().now, 0u) << "nobody has cancelled it";
  call->scope().cancel(make_error(status_code::cancelled, "gone"));
  time.advance(grace - std::chrono::milliseconds{1});
  EXPECT_EQ(model->stuck().now, 0u);
  EXPECT_EQ(model->current().reason, "");
  time.advance(std::chrono::milliseconds{1});
  EXPECT_EQ(model->stuck().now, 1u);
  EXPECT_EQ(model->current().state, model_state::ready);
  EXPECT_THAT(model->current().reason, HasSubstr("1 of 1 instances is stuck in work that was cancelled"));
  go_on.release();
  await([&] { return model->stuck().now == 0; });
  EXPECT_EQ(model->stuck().ever, 1u);
  EXPECT_EQ(model->current().reason, "");
  const auto next = submit();
  running.acquire();
  go_on.release();
  EXPECT_TRUE(next->wait());
  time.advance(2 * grace);
  EXPECT_EQ(model->stuck().ever, 1u);
  stop(*runner);
}

TEST_F(runner_test, an_instance_that_was_woken_and_is_stopped_wakes_the_next_one) {
  const auto first = start(nothing);
  await_parked(1);
  const auto second = start(nothing);
  await_parked(2);
  await([&] { return pool->stats().busy == 0; });
  take_both_slots();
  const auto call = submit();
  ASSERT_EQ(pool->stats().queued, 1u) << "one of them was told of the call, and waits for a slot";
  std::binary_semaphore stopped{0};
  first->stop(make_error(status_code::unavailable, "stopping"), [&] { stopped.release(); });
  give_slots_back();
  EXPECT_TRUE(call->wait());
  stopped.acquire();
  stop(*second);
}

TEST_F(runner_test, a_call_that_waits_for_a_slot_is_in_the_queue) {
  const auto runner = start(nothing);
  await_parked();
  await([&] { return pool->stats().busy == 0; });
  take_both_slots();
  const auto withdrawn = submit(), cancelled = submit(), left = submit();
  EXPECT_TRUE(model->withdraw(*withdrawn));
  cancelled->scope().cancel(make_error(status_code::cancelled, "gone"));
  model->withdraw_cancelled();
  EXPECT_EQ(cancelled->wait().error().cause, "gone");
  model->set_unavailable(make_error(status_code::internal, "broken"));
  EXPECT_EQ(left->wait().error().code, status_code::unavailable);
  give_slots_back();
  stop(*runner);
  EXPECT_EQ(model->counts().read().executions, 0u);
}

TEST_F(runner_test, a_full_queue_refuses_and_an_unavailable_model_answers_what_it_has) {
  std::vector<std::shared_ptr<recorded_call>> calls;
  for (int i = 0; i != 4; ++i)
    calls.push_back(submit());
  EXPECT_EQ(model->submit(std::make_shared<recorded_call>()).error().code, status_code::resource_exhausted);
  EXPECT_EQ(model->calls().stats().refused, 1u);
  model->set_unavailable(make_error(status_code::internal, "broken"));
  for (const auto& call : calls)
    EXPECT_EQ(call->wait().error().code, status_code::unavailable);
  EXPECT_EQ(model->submit(std::make_shared<recorded_call>()).error().code, status_code::unavailable);
  EXPECT_EQ(model->current().reason, "broken");
}

TEST_F(runner_test, models_take_turns_on_a_busy_pool) {
  pool = std::make_shared<executor_pool>("CPU", pool_capacity{1});
  std::string order;
  std::binary_semaphore go{0};
  ASSERT_TRUE(pool->submit(make_job([&] { go.acquire(); })));
  model_folder folder;
  folder.name = "other";
  const auto other = std::make_shared<served_model>(std::move(folder), [] {});
  testing_support::make_ready(*other);
  const auto note = [&](char who) {
    return [&order, who](const auto&, const auto&) -> expected<inference_response> {
      order += who;
      return inference_response{};
    };
  };
  const auto a = start(note('a'));
  const auto b = std::make_shared<batch_runner>(std::make_unique<scripted_instance>(note('b')), other, pool);
  b->start();
  std::vector<std::shared_ptr<recorded_call>> calls;
  for (int i = 0; i != 3; ++i) {
    calls.push_back(submit());
    calls.push_back(std::make_shared<recorded_call>());
    ASSERT_TRUE(other->submit(calls.back()));
  }
  go.release();
  for (const auto& call : calls)
    EXPECT_TRUE(call->wait());
  stop(*a);
  stop(*b);
  EXPECT_EQ(order, "ababab");
}

TEST_F(runner_test, answers_immediate_calls_on_the_thread_that_brings_them) {
  std::thread::id where;
  const auto note = [&](const auto&, const auto&) -> expected<inference_response> {
    where = std::this_thread::get_id();
    return inference_response{};
  };
  const auto runner = start(note, true);
  await_parked();
  EXPECT_TRUE(submit()->answered());
  EXPECT_EQ(where, std::this_thread::get_id());
  stop(*runner);
}

// It may have been brought by the actor that gave it its turn, and nothing runs on an actor's thread.
TEST_F(runner_test, leaves_what_belongs_to_a_sequence_to_the_pool) {
  std::thread::id where;
  const auto note = [&](const auto&, const auto&) -> expected<inference_response> {
    where = std::this_thread::get_id();
    return inference_response{};
  };
  const auto runner = start(note, true);
  await_parked();
  const auto call = std::make_shared<recorded_call>();
  call->input.sequence = sequence_part{std::uint64_t{1}, true, true};
  ASSERT_TRUE(model->enqueue(call));
  EXPECT_TRUE(call->wait());
  EXPECT_NE(where, std::this_thread::get_id());
  stop(*runner);
}

TEST_F(runner_test, hands_immediate_calls_over_when_no_slot_is_free) {
  std::thread::id where;
  const auto note = [&](const auto&, const auto&) -> expected<inference_response> {
    where = std::this_thread::get_id();
    return inference_response{};
  };
  const auto runner = start(note, true);
  await_parked();
  await([&] { return pool->stats().busy == 0; });
  take_both_slots();
  const auto call = submit();
  EXPECT_FALSE(call->answered());
  give_slots_back();
  EXPECT_TRUE(call->wait());
  EXPECT_NE(where, std::this_thread::get_id());
  stop(*runner);
}

// The thread that brings a call is the gateway's: it may help itself, but not be kept by those that come after it.
TEST_F(runner_test, keeps_nobody_who_brings_an_immediate_call_for_long) {
  std::atomic<int> here = 0, all = 0;
  const auto mine = std::this_thread::get_id();
  const auto one_more = [&](const auto&, const auto&) -> expected<inference_response> {
    here += std::this_thread::get_id() == mine ? 1 : 0;
    if (++all < 1000)
      static_cast<void>(model->submit(std::make_shared<recorded_call>()));
    return inference_response{};
  };
  const auto runner = start(one_more, true);
  await_parked();
  submit();
  await([&] { return all == 1000; });
  EXPECT_GE(here, 1);
  EXPECT_LE(here, 64);
  stop(*runner);
}

TEST_F(runner_test, without_its_pool_it_answers_that_the_device_is_gone) {
  const auto sleeping = start(nothing);
  await_parked();
  pool->close();
  EXPECT_EQ(submit()->wait().error().code, status_code::unavailable);
  const auto again = submit();
  EXPECT_EQ(again->wait().error().code, status_code::unavailable);
  stop(*sleeping);
  const auto late = start(nothing);
  EXPECT_EQ(submit()->wait().error().code, status_code::unavailable);
  stop(*late);
  EXPECT_EQ(model->counts().read().executions, 0u);
}

TEST_F(runner_test, a_pool_that_closes_under_it_loses_no_call) {
  std::binary_semaphore running{0}, go{0};
  const auto runner = start([&](const auto&, const auto&) -> expected<inference_response> {
    running.release();
    go.acquire();
    return inference_response{};
  });
  const auto first = submit();
  running.acquire();
  const auto second = submit();
  // Something waits for a slot, so that the runner would queue itself again after the first call.
  const auto hold = std::make_shared<std::binary_semaphore>(0);
  ASSERT_TRUE(pool->submit(make_job([hold] { hold->acquire(); })));
  ASSERT_TRUE(pool->submit(make_job([] {})));
  pool->close();
  go.release(1);
  EXPECT_TRUE(first->wait());
  EXPECT_EQ(second->wait().error().code, status_code::unavailable);
  hold->release();
  stop(*runner);
}

// -- Batches

/// A runner whose first batch is held back, so that what comes meanwhile makes up the second.
struct batch_test : runner_test {
  batch_test() {
    model_folder folder;
    folder.name = "batching";
    folder.queue.capacity = 16;
    model = std::make_shared<served_model>(std::move(folder), [] {});
    testing_support::make_ready(*model, {}, {.limits = {.items = 8}});
  }

  void TearDown() override { stop(*runner); }

  void start_batches(testing_support::scripted_batch_instance::batch_work what) {
    auto held_back = [this, what = std::move(what)](std::span<work_item* const> batch, const cancel_token& token) {
      if (std::exchange(first_, false)) {
        running.release();
        go.acquire();
        for (auto* item : batch)
          item->respond(inference_response{});
        return expected<void>{};
      }
      sizes.push_back(batch.size());
      return what(batch, token);
    };
    runner = std::make_shared<batch_runner>(
        std::make_unique<testing_support::scripted_batch_instance>(std::move(held_back)), model, pool);
    runner->start();
    submit();
    running.acquire();
  }

  static void answer_all(std::span<work_item* const> batch) {
    for (auto* item : batch)
      item->respond(inference_response{});
  }

  static bool is_bad(const work_item& item) { return item.request().parameters.contains("bad"); }

  std::shared_ptr<recorded_call> submit_bad() {
    auto call = std::make_shared<recorded_call>();
    call->input.parameters["bad"] = true;
    EXPECT_TRUE(model->submit(call));
    return call;
  }

  std::binary_semaphore running{0}, go{0};
  std::vector<std::size_t> sizes;
  std::shared_ptr<batch_runner> runner;

 private:
  bool first_ = true;
};

TEST_F(batch_test, what_has_come_meanwhile_runs_together) {
  start_batches([](auto batch, const auto&) -> expected<void> {
    answer_all(batch);
    return {};
  });
  std::vector<std::shared_ptr<recorded_call>> calls;
  for (int i = 0; i != 11; ++i)
    calls.push_back(submit());
  go.release();
  for (const auto& call : calls)
    EXPECT_TRUE(call->wait());
  EXPECT_EQ(sizes, (std::vector<std::size_t>{8, 3}));
  await([&] { return model->counts().read().executions == 3; });
  EXPECT_EQ(model->counts().read().inferences, 12u);
  EXPECT_EQ(model->counts().read().batches.at(8).count, 1u);
}

struct culprit_test : batch_test, testing::WithParamInterface<bool> {};

INSTANTIATE_TEST_SUITE_P(returned_and_thrown, culprit_test, testing::Bool());

TEST_P(culprit_test, only_the_culprit_fails_and_nobody_is_answered_twice) {
  start_batches([throws = GetParam()](auto batch, const auto&) -> expected<void> {
    if (std::any_of(batch.begin(), batch.end(), [](auto* item) { return is_bad(*item); })) {
      if (throws)
        throw std::runtime_error{"bad input"};
      return make_error(status_code::internal, "bad input");
    }
    answer_all(batch);
    return {};
  });
  std::vector<std::shared_ptr<recorded_call>> good;
  for (int i = 0; i != 5; ++i)
    good.push_back(submit());
  const auto bad = submit_bad();
  for (int i = 0; i != 2; ++i)
    good.push_back(submit());
  go.release();
  for (const auto& call : good)
    EXPECT_TRUE(call->wait());
  const auto answer = bad->wait();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, status_code::internal);
  EXPECT_NE(answer.error().cause.find("bad input"), std::string::npos);
  for (const auto& call : good)
    EXPECT_EQ(call->answers, 1);
  EXPECT_EQ(sizes, (std::vector<std::size_t>{8, 4, 4, 2, 1, 1, 2}));
  await([&] { return model->counts().read().retried == 3; });
}

TEST_F(batch_test, what_was_answered_before_the_batch_failed_is_not_run_again) {
  start_batches([](auto batch, const auto&) -> expected<void> {
    for (auto* item : batch) {
      if (is_bad(*item))
        return make_error(status_code::internal, "bad input");
      item->respond(inference_response{});
    }
    return {};
  });
  const auto first = submit(), bad = submit_bad(), last = submit();
  go.release();
  EXPECT_TRUE(first->wait());
  EXPECT_TRUE(last->wait());
  EXPECT_FALSE(bad->wait());
  EXPECT_EQ(first->answers, 1);
}

TEST_F(batch_test, what_has_sent_a_response_is_not_run_again_either) {
  start_batches([](auto batch, const auto&) -> expected<void> {
    if (batch.size() > 1) {
      batch.front()->send(inference_response{});
      return make_error(status_code::internal, "half way");
    }
    batch.front()->respond(inference_response{});
    return {};
  });
  const auto begun = submit(), other = submit();
  go.release();
  EXPECT_TRUE(other->wait());
  EXPECT_EQ(begun->wait().error().cause, "half way");
  EXPECT_EQ(begun->sent.size(), 1u);
  EXPECT_EQ(sizes, (std::vector<std::size_t>{2, 1}));
}

TEST_F(batch_test, an_item_without_an_answer_fails_and_is_not_run_again) {
  start_batches([](auto batch, const auto&) -> expected<void> {
    batch.front()->respond(inference_response{});
    return {};
  });
  const auto first = submit(), second = submit();
  go.release();
  EXPECT_TRUE(first->wait());
  EXPECT_EQ(second->wait().error().cause, "the skillset gave no answer");
  EXPECT_EQ(sizes, std::vector<std::size_t>{2});
}

TEST_F(batch_test, is_cancelled_when_all_of_it_is_and_not_before) {
  std::binary_semaphore entered{0};
  std::atomic<bool> cancelled_early = false;
  cancel_token seen;
  start_batches([&](auto batch, const cancel_token& token) -> expected<void> {
    seen = token;
    entered.release();
    await([&] { return batch.front()->token().cancelled(); });
    cancelled_early = token.cancelled();
    await([&] { return token.cancelled(); });
    return token.reason();
  });
  const auto first = submit(), second = submit();
  go.release();
  entered.acquire();
  first->scope().cancel(make_error(status_code::cancelled, "the first is gone"));
  second->scope().cancel(make_error(status_code::cancelled, "the second is gone"));
  EXPECT_EQ(first->wait().error().cause, "the first is gone");
  EXPECT_EQ(second->wait().error().cause, "the second is gone");
  await([&] { return model->counts().read().cancel.count == 2; });
  EXPECT_EQ(sizes, std::vector<std::size_t>{2}) << "and is not run again";
}

TEST_F(batch_test, goes_on_for_the_neighbours_of_what_was_cancelled) {
  std::binary_semaphore entered{0}, on{0};
  bool cancelled = false;
  start_batches([&](auto batch, const cancel_token& token) -> expected<void> {
    entered.release();
    on.acquire();
    cancelled = token.cancelled();
    answer_all(batch);
    return {};
  });
  const auto gone = submit(), stays = submit();
  go.release();
  entered.acquire();
  gone->scope().cancel(make_error(status_code::cancelled, "gone"));
  on.release();
  EXPECT_TRUE(stays->wait());
  EXPECT_FALSE(cancelled);
  await([&] { return model->counts().read().cancel.count == 1; });
  EXPECT_EQ(model->counts().read().success.count, 2u);
}

// -- Instances that break

/// Works until it breaks, and then never again.
class fragile_instance final : public instance {
 public:
  explicit fragile_instance(testing_support::scripted_batch_instance::batch_work what) : what_(std::move(what)) {}

  expected<void> run(std::span<work_item* const> batch, const cancel_token& token) override {
    EXPECT_TRUE(usable_);
    auto done = what_(batch, token);
    usable_ = done.has_value();
    return done;
  }
  bool usable() const noexcept override { return usable_; }

 private:
  testing_support::scripted_batch_instance::batch_work what_;
  std::atomic<bool> usable_ = true;
};

const auto broken = make_error(status_code::unavailable, "it broke");

struct broken_test : runner_test {
  broken_test() {
    model_folder folder;
    folder.name = "fragile";
    folder.queue.capacity = 16;
    model = std::make_shared<served_model>(std::move(folder), [] {});
    testing_support::make_ready(*model, {}, {.limits = {.items = 8}});
  }

  std::vector<std::shared_ptr<recorded_call>> submit_batch(int count) {
    std::vector<std::shared_ptr<recorded_call>> calls;
    for (int i = 0; i != count; ++i)
      calls.push_back(submit());
    return calls;
  }

  std::shared_ptr<batch_runner> start_fragile(testing_support::scripted_batch_instance::batch_work what) {
    auto runner = std::make_shared<batch_runner>(std::make_unique<fragile_instance>(std::move(what)), model, pool);
    runner->start();
    return runner;
  }

  static void leave(batch_runner& runner) {
    std::binary_semaphore left{0};
    runner.leave([&] { left.release(); });
    left.acquire();
  }

  static expected<void> answer_all(std::span<work_item* const> batch, const cancel_token&) {
    for (auto* item : batch)
      item->respond(inference_response{});
    return {};
  }
};

TEST_F(broken_test, what_a_broken_instance_had_runs_on_another_one) {
  const auto calls = submit_batch(4);
  const auto fragile = start_fragile([](const auto& batch, const auto&) -> expected<void> {
    batch[0]->respond(inference_response{});
    return broken;
  });
  await([&] { return model->calls().stats().queued == 3; });
  EXPECT_TRUE(calls[0]->wait());
  const auto next = start_fragile(answer_all);
  for (std::size_t i = 1; i != calls.size(); ++i)
    EXPECT_TRUE(calls[i]->wait()) << i;
  for (const auto& call : calls)
    EXPECT_EQ(call->answers, 1);
  leave(*fragile);
  stop(*next);
  EXPECT_EQ(model->counts().read().success.count, 4u);
}

TEST_F(broken_test, nothing_runs_a_third_time) {
  const auto calls = submit_batch(2);
  std::vector<std::size_t> runs;
  for (const std::size_t more : {2, 1, 1}) {
    std::atomic<bool> ran = false;
    const auto fragile = start_fragile([&](const auto& batch, const auto&) -> expected<void> {
      runs.push_back(batch.size());
      ran = true;
      return broken;
    });
    await([&] { return ran.load(); });
    leave(*fragile);
    EXPECT_EQ(runs.back(), more);
  }
  for (const auto& call : calls)
    EXPECT_EQ(call->wait().error().cause, "it broke");
}

TEST_F(broken_test, what_breaks_every_instance_takes_nobody_along) {
  std::vector<std::shared_ptr<recorded_call>> calls;
  for (int i = 0; i != 6; ++i) {
    calls.push_back(std::make_shared<recorded_call>());
    calls.back()->input.parameters["poison"] = i == 2;
    EXPECT_TRUE(model->submit(calls.back()));
  }
  std::atomic<int> breaks = 0;
  const auto work = [&](const auto& batch, const auto& token) -> expected<void> {
    for (const auto* item : batch)
      if (item->request().parameters.at("poison") == parameter{true}) {
        ++breaks;
        return broken;
      }
    return answer_all(batch, token);
  };
  const auto first = start_fragile(work);
  await([&] { return breaks == 1; });
  const auto second = start_fragile(work);
  await([&] { return breaks == 2; });
  const auto third = start_fragile(work);
  for (std::size_t i = 0; i != calls.size(); ++i)
    EXPECT_EQ(calls[i]->wait().has_value(), i != 2) << i;
  leave(*first);
  leave(*second);
  stop(*third);
  EXPECT_EQ(breaks, 2);
}

TEST_F(broken_test, what_had_a_response_or_was_cancelled_ends_with_it) {
  const auto calls = submit_batch(2);
  const auto fragile = start_fragile([&](const auto& batch, const auto&) -> expected<void> {
    batch[0]->send(inference_response{});
    calls[1]->scope().cancel(make_error(status_code::cancelled, "gone"));
    return broken;
  });
  EXPECT_EQ(calls[0]->wait().error().cause, "it broke");
  EXPECT_EQ(calls[1]->wait().error().code, status_code::cancelled);
  leave(*fragile);
  EXPECT_EQ(model->calls().stats().queued, 0u);
}

TEST_F(broken_test, takes_nothing_more_and_passes_on_what_it_is_told_of) {
  std::atomic<int> runs = 0;
  const auto fragile = start_fragile([&](const auto&, const auto&) -> expected<void> {
    ++runs;
    return broken;
  });
  const auto first = submit_batch(1);
  await([&] { return runs == 1; });
  const auto next = start_fragile(answer_all);
  EXPECT_TRUE(first[0]->wait());
  const auto second = submit_batch(3);
  for (const auto& call : second)
    EXPECT_TRUE(call->wait());
  leave(*fragile);
  stop(*next);
}

struct runner_stress : runner_test, testing::WithParamInterface<bool> {};

INSTANTIATE_TEST_SUITE_P(immediate_and_not, runner_stress, testing::Bool());

TEST_P(runner_stress, every_admitted_call_is_answered_once) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  constexpr int callers = 3, each = 2000;
  std::vector<std::vector<std::shared_ptr<recorded_call>>> admitted(callers);
  std::vector<std::shared_ptr<batch_runner>> runners;
  for (int i = 0; i != 2; ++i)
    runners.push_back(start(nothing, GetParam()));
  std::atomic<bool> done = false;
  std::jthread restarter{[&] {
    while (!done) {
      stop(*runners.front());
      runners.front() = start(nothing, GetParam());
    }
  }};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t != callers; ++t)
      threads.emplace_back([&, t] {
        std::mt19937 random{seed + static_cast<unsigned>(t)};
        for (int i = 0; i != each; ++i) {
          auto call = std::make_shared<recorded_call>();
          while (!model->submit(call))
            std::this_thread::yield();
          admitted[static_cast<std::size_t>(t)].push_back(call);
          if (random() % 4 == 0) {
            const auto gone = make_error(status_code::cancelled, "gone");
            call->scope().cancel(gone);
            model->withdraw(*call);
            call->respond(gone);
          }
        }
      });
  }
  for (const auto& calls : admitted)
    for (const auto& call : calls)
      await([&] { return call->answered(); });
  done = true;
  restarter.join();
  for (const auto& runner : runners)
    stop(*runner);
  EXPECT_EQ(model->calls().stats().queued, 0u);
  EXPECT_EQ(model->calls().stats().idle_workers, 0u);
  EXPECT_EQ(model->calls().stats().admitted, model->counts().read().executions + model->calls().stats().withdrawn);
}

// A model that comes and goes, instances that come and go, callers that go away, and a pool that closes in the middle.
TEST_P(runner_stress, no_call_is_lost_when_everything_ends_at_once) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  for (int round = 0; round != 60; ++round) {
    pool = std::make_shared<executor_pool>("CPU", pool_capacity{2});
    testing_support::make_ready(*model);
    std::vector<std::shared_ptr<batch_runner>> runners{start(nothing, GetParam()), start(nothing, GetParam())};
    std::vector<std::vector<std::shared_ptr<recorded_call>>> calls(3);
    {
      std::vector<std::jthread> threads;
      for (std::size_t t = 0; t != calls.size(); ++t)
        threads.emplace_back([&, t] {
          std::mt19937 random{seed + static_cast<unsigned>(t)};
          for (int i = 0; i != 100; ++i) {
            const auto& call = calls[t].emplace_back(std::make_shared<recorded_call>());
            if (const auto submitted = model->submit(call); !submitted) {
              EXPECT_FALSE(call->answered()) << "a call that was not admitted is its caller's";
              call->respond(submitted.error());
            } else if (random() % 4 == 0) {
              call->scope().cancel(make_error(status_code::cancelled, "gone"));
              if (model->withdraw(*call))
                call->respond(make_error(status_code::cancelled, "gone"));
            }
          }
        });
      threads.emplace_back([&] {
        stop(*runners.front());
        model->set_unavailable(make_error(status_code::internal, "broken"));
        testing_support::make_ready(*model);
        pool->close();
        stop(*runners.back());
        model->set_unavailable(make_error(status_code::internal, "ended"));
      });
    }
    for (const auto& of_one : calls)
      for (const auto& call : of_one) {
        await([&] { return call->answered(); });
        EXPECT_EQ(call->answers, 1);
      }
    EXPECT_EQ(model->calls().stats().idle_workers, 0u);
  }
}

}  // namespace
}  // namespace troupe
