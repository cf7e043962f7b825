#include "actors/serving/continuous_runner.hpp"

#include "actors/concurrency/virtual_clock.hpp"
#include "actors/serving/testing.hpp"
#include "skillsets/sdk/testing.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <semaphore>
#include <stdexcept>
#include <utility>

namespace troupe {
namespace {

using testing_support::await;
using testing_support::counting_instance;
using testing_support::recorded_call;

/// A counting engine whose steps the test lets through one by one, unless it lets them run.
struct continuous_runner_test : testing::Test {
  continuous_runner_test() {
    model_folder folder;
    folder.name = "m";
    model = std::make_shared<served_model>(std::move(folder), [] {});
    testing_support::make_ready(*model, counting_instance::describe());
  }

  std::shared_ptr<continuous_runner> start(std::size_t capacity = 2) {
    auto made = std::make_unique<counting_instance>(capacity);
    engine = made.get();
    engine->on_step = [this](std::size_t in) { return on_step(in); };
    auto runner = std::make_shared<continuous_runner>(std::move(made), model, pool);
    runner->start();
    return runner;
  }

  /// Has every step wait for `let_step`.
  void hold_steps() {
    on_step = [this](std::size_t in) {
      sizes.push_back(in);
      if (!released) {
        stepping.release();
        go.acquire();
      }
      return then(in);
    };
  }
  /// Lets the step that waits go on, and waits for the next one.
  void step() {
    go.release();
    stepping.acquire();
  }

  std::shared_ptr<recorded_call> submit(std::int32_t n, std::uint32_t priority = 2) {
    auto call = std::make_shared<recorded_call>();
    call->input = counting_instance::up_to(n);
    call->priority = priority;
    EXPECT_TRUE(model->submit(call));
    return call;
  }

  static std::int32_t last_number(recorded_call& call) {
    const auto answer = call.wait();
    EXPECT_TRUE(answer) << answer.error().message();
    return answer ? counting_instance::number(answer->outputs.front()) : -1;
  }

  void stop(instance_runner& runner) {
    std::binary_semaphore stopped{0};
    runner.stop(make_error(status_code::unavailable, "stopping"), [&] { stopped.release(); });
    stopped.acquire();
  }

  std::shared_ptr<executor_pool> pool = std::make_shared<executor_pool>("CPU", pool_capacity{2});
  std::shared_ptr<served_model> model;
  counting_instance* engine = nullptr;
  std::counting_semaphore<> stepping{0}, go{0};
  std::vector<std::size_t> sizes;
  std::atomic<bool> released = false;                                                              // steps wait no more
  std::function<expected<void>(std::size_t)> then = [](std::size_t) { return expected<void>{}; };  // what they do
  std::function<expected<void>(std::size_t)> on_step = [](std::size_t) { return expected<void>{}; };
};

TEST_F(continuous_runner_test, answers_what_was_queued_before_and_comes_after_it_started) {
  const auto before = submit(3);
  const auto runner = start();
  EXPECT_EQ(last_number(*before), 3);
  EXPECT_EQ(before->sent.size(), 2u);
  await([&] { return model->calls().stats().idle_workers == 1 && pool->stats().busy == 0; });
  EXPECT_EQ(last_number(*submit(1)), 1);
  stop(*runner);
  const auto counts = model->counts().read();
  EXPECT_EQ(counts.executions, 4u) << "one for each step";
  EXPECT_EQ(counts.inferences, 2u) << "and one for each request";
  EXPECT_EQ(counts.success.count, 2u);
}

TEST_F(continuous_runner_test, who_comes_while_it_steps_is_let_in_at_the_next_one) {
  hold_steps();
  const auto runner = start();
  const auto first = submit(4);
  stepping.acquire();
  const auto second = submit(1);
  await([&] { return engine->interrupts > 0; });
  step();
  step();
  EXPECT_EQ(last_number(*second), 1) << "who came later leaves first";
  EXPECT_FALSE(first->answered());
  EXPECT_EQ(sizes, (std::vector<std::size_t>{1, 2, 1}));
  go.release(2);
  EXPECT_EQ(last_number(*first), 4);
  stop(*runner);
}

TEST_F(continuous_runner_test, has_no_more_at_once_than_there_is_room_for) {
  hold_steps();
  const auto runner = start(2);
  const auto a = submit(2), b = submit(1), c = submit(1), urgent = submit(1, 1);
  stepping.acquire();
  go.release(100);
  for (const auto& call : {a, b, c, urgent})
    EXPECT_TRUE(call->wait());
  stop(*runner);
  EXPECT_EQ(*std::max_element(sizes.begin(), sizes.end()), 2u);
  EXPECT_EQ(model->counts().read().success.count, 4u);
}

TEST_F(continuous_runner_test, who_is_cancelled_leaves_at_the_next_step_and_makes_room) {
  hold_steps();
  const auto runner = start(1);
  const auto gone = submit(1'000'000);
  stepping.acquire();
  const auto next = submit(1);
  gone->scope().cancel(make_error(status_code::cancelled, "not wanted"));
  go.release(2);
  EXPECT_EQ(last_number(*next), 1);
  EXPECT_EQ(gone->wait().error().cause, "not wanted");
  stop(*runner);
  EXPECT_EQ(engine->evicted, 1);
  EXPECT_EQ(model->counts().read().cancel.count, 1u);
}

TEST_F(continuous_runner_test, who_is_cancelled_makes_room_without_a_step_between) {
  hold_steps();
  const auto before = submit(1'000'000), gone = submit(1'000'000);
  const auto runner = start(2);
  stepping.acquire();
  const auto next = submit(1);
  gone->scope().cancel(make_error(status_code::cancelled, "not wanted"));
  step();
  EXPECT_EQ(sizes, (std::vector<std::size_t>{2, 2})) << "the next one is in the place of the one who left";
  released = true;
  go.release();
  EXPECT_EQ(last_number(*next), 1);
  stop(*runner);
  EXPECT_FALSE(before->wait());
}

TEST_F(continuous_runner_test, who_cant_be_let_in_is_told_why) {
  const auto runner = start();
  EXPECT_EQ(submit(0)->wait().error().code, status_code::invalid_argument);
  EXPECT_EQ(last_number(*submit(1)), 1) << "and goes on";
  stop(*runner);
}

TEST_F(continuous_runner_test, a_failed_step_fails_only_the_one_whose_fault_it_is) {
  hold_steps();
  const auto runner = start(3);
  const auto good = submit(2);
  stepping.acquire();
  const auto bad = submit(66), other = submit(3);
  then = [this](std::size_t) -> expected<void> {
    if (std::any_of(engine->in.begin(), engine->in.end(), [](const auto& guest) { return guest.n == 66; }))
      throw std::runtime_error{"66 is too much"};
    return {};
  };
  released = true;
  go.release();
  EXPECT_EQ(bad->wait().error().cause, "the skillset failed: 66 is too much");
  EXPECT_EQ(last_number(*other), 3) << "it runs again, alone";
  EXPECT_EQ(good->wait().error().cause, "the skillset failed: 66 is too much")
      << "it had a response, which can't be taken back";
  EXPECT_EQ(last_number(*submit(1)), 1) << "and all goes on";
  stop(*runner);
  EXPECT_EQ(model->counts().read().retried, 1u);
}

TEST_F(continuous_runner_test, stopping_cancels_what_is_in_and_leaves_what_is_queued) {
  hold_steps();
  const auto runner = start(1);
  const auto current = submit(1'000'000);
  stepping.acquire();
  const auto queued = submit(1);
  std::binary_semaphore stopped{0};
  runner->stop(make_error(status_code::unavailable, "stopping"), [&] { stopped.release(); });
  go.release();
  stopped.acquire();
  EXPECT_EQ(current->wait().error().cause, "stopping");
  EXPECT_FALSE(queued->answered());
  on_step = [](std::size_t) { return expected<void>{}; };
  const auto next = start();
  EXPECT_EQ(last_number(*queued), 1) << "the next instance takes it";
  stop(*next);
}

TEST_F(continuous_runner_test, an_idle_one_stops_at_once) {
  const auto runner = start();
  await([&] { return model->calls().stats().idle_workers == 1; });
  stop(*runner);
  EXPECT_EQ(model->calls().stats().idle_workers, 0u);
}

TEST_F(continuous_runner_test, other_work_gets_its_turn_between_steps) {
  pool = std::make_shared<executor_pool>("CPU", pool_capacity{1});
  const auto runner = start();
  const auto endless = submit(std::numeric_limits<std::int32_t>::max());
  await([&] { return pool->stats().busy == 1; });
  std::binary_semaphore ran{0};
  pool->submit(make_job([&] { ran.release(); }));
  ran.acquire();
  EXPECT_FALSE(endless->answered());
  stop(*runner);
}

TEST_F(continuous_runner_test, without_a_pool_there_is_one_answer_left) {
  const auto runner = start();
  await([&] { return model->calls().stats().idle_workers == 1; });
  pool->close();
  EXPECT_EQ(submit(1)->wait().error().cause, "device 'CPU' has been stopped");
  stop(*runner);
}

/// One whose process ends in the middle of a step.
class mortal_instance final : public continuous_instance {
 public:
  std::size_t capacity() const noexcept override { return 2; }
  expected<void> admit(work_item& item) override {
    in_.push_back(&item);
    return {};
  }
  expected<void> step() override {
    in_.front()->send({});
    broken_ = true;
    return make_error(status_code::unavailable, "killed");
  }
  void evict(work_item& item) noexcept override { std::erase(in_, &item); }
  bool usable() const noexcept override { return !broken_; }

 private:
  std::vector<work_item*> in_;
  bool broken_ = false;
};

TEST_F(continuous_runner_test, what_a_broken_one_has_not_answered_at_all_runs_elsewhere) {
  const auto first = submit(1), second = submit(2);
  const auto dying = std::make_shared<continuous_runner>(std::make_unique<mortal_instance>(), model, pool);
  dying->start();
  EXPECT_EQ(first->wait().error().cause, "killed") << "it had a response already";
  await([&] { return model->calls().stats().queued == 1; });
  const auto next = start();
  EXPECT_EQ(last_number(*second), 2);
  std::binary_semaphore left{0};
  dying->leave([&] { left.release(); });
  left.acquire();
  stop(*next);
}

/// Answers who is in, and breaks when one of them is poison.
class picky_instance final : public continuous_instance {
 public:
  explicit picky_instance(std::atomic<int>& breaks) : breaks_(breaks) {}

  std::size_t capacity() const noexcept override { return 4; }
  expected<void> admit(work_item& item) override {
    in_.push_back(&item);
    return {};
  }
  expected<void> step() override {
    for (const auto* item : in_)
      if (item->request().parameters.count("poison") > 0) {
        broken_ = true;
        ++breaks_;
        return make_error(status_code::unavailable, "poisoned");
      }
    for (auto* item : std::exchange(in_, {}))
      item->respond(inference_response{});
    return {};
  }
  void evict(work_item& item) noexcept override { std::erase(in_, &item); }
  bool usable() const noexcept override { return !broken_; }

 private:
  std::atomic<int>& breaks_;
  std::vector<work_item*> in_;
  bool broken_ = false;
};

TEST_F(continuous_runner_test, who_breaks_every_instance_takes_nobody_along) {
  std::vector<std::shared_ptr<recorded_call>> calls;
  for (int i = 0; i != 4; ++i) {
    calls.push_back(std::make_shared<recorded_call>());
    calls.back()->input = counting_instance::up_to(1);
    if (i == 1)
      calls.back()->input.parameters["poison"] = true;
    EXPECT_TRUE(model->submit(calls.back()));
  }
  std::atomic<int> breaks = 0;
  std::vector<std::shared_ptr<continuous_runner>> runners;
  for (int i = 0; i != 3; ++i) {
    runners.push_back(std::make_shared<continuous_runner>(std::make_unique<picky_instance>(breaks), model, pool));
    runners.back()->start();
    await([&] { return breaks == std::min(i + 1, 2); });
  }
  for (std::size_t i = 0; i != calls.size(); ++i)
    EXPECT_EQ(calls[i]->wait().has_value(), i != 1) << i;
  EXPECT_EQ(breaks, 2);
  for (const auto& runner : runners)
    stop(*runner);
}

TEST_F(continuous_runner_test, a_step_that_goes_on_with_what_was_cancelled_is_told_of_until_it_ends) {
  virtual_clock time{steady_clock::now()};
  hold_steps();
  const auto runner = start();
  const auto call = std::make_shared<recorded_call>(scope_options{.clock = &time});
  call->input = counting_instance::up_to(1'000'000);
  EXPECT_TRUE(model->submit(call));
  stepping.acquire();
  call->scope().cancel(make_error(status_code::cancelled, "not wanted"));
  EXPECT_EQ(model->stuck().now, 0u);
  time.advance(model->folder().host.cancel_grace);
  EXPECT_EQ(model->stuck().now, 1u);
  go.release();
  await([&] { return model->stuck().now == 0; });
  stop(*runner);
  EXPECT_EQ(model->stuck().ever, 1u);
}

TEST_F(continuous_runner_test, everybody_gets_one_last_word_whatever_happens) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random{seed};
  std::atomic<bool> fail = false;
  on_step = [&](std::size_t) -> expected<void> {
    return fail.exchange(false) ? expected<void>{make_error(status_code::internal, "a step failed")} : expected<void>{};
  };
  auto runner = start(4);
  std::vector<std::shared_ptr<recorded_call>> calls;
  for (int round = 0; round != 300; ++round) {
    auto call = std::make_shared<recorded_call>();
    call->input = counting_instance::up_to(static_cast<std::int32_t>(random() % 8));
    if (model->submit(call))
      calls.push_back(call);
    if (random() % 4 == 0)
      calls[random() % calls.size()]->scope().cancel(make_error(status_code::cancelled, "not wanted"));
    if (random() % 16 == 0)
      fail = true;
    if (random() % 64 == 0) {
      stop(*runner);
      runner = start(1 + random() % 4);
    }
  }
  for (const auto& call : calls) {
    if (call->scope().token().cancelled() && model->withdraw(*call))
      continue;
    const auto answer = call->wait();
    EXPECT_EQ(call->answers, 1);
    if (answer) {
      EXPECT_EQ(counting_instance::number(answer->outputs.front()),
                counting_instance::number(call->input.inputs.front()));
    }
  }
  stop(*runner);
  const auto counts = model->counts().read();
  EXPECT_EQ(counts.infer.count, counts.success.count + counts.fail.count + counts.cancel.count);
}

}  // namespace
}  // namespace troupe
