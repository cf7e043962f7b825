#include "actors/serving/sequence_actor.hpp"

#include "actors/concurrency/virtual_clock.hpp"
#include "actors/serving/instance_runner.hpp"
#include "actors/serving/testing.hpp"
#include "actors/supervision/supervisor.hpp"

#include <gtest/gtest.h>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/exit_reason.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <random>
#include <semaphore>

namespace troupe {
namespace {

using namespace std::chrono_literals;
using testing_support::await;
using testing_support::recorded_call;
using testing_support::scripted_batch_instance;
using call = std::shared_ptr<recorded_call>;

constexpr bool start = true, no_start = false, end = true;

error gone() {
  return make_error(status_code::cancelled, "gone");
}

std::int64_t number_in(const inference_request& request, const char* name) {
  const auto i = request.parameters.find(name);
  return i == request.parameters.end() ? 0 : std::get<std::int64_t>(i->second);
}

/// Adds a number to its sequence, and answers the sum. A poisoned one lets its batch fail when it has done so.
expected<void> add_up(std::span<work_item* const> batch, const cancel_token&) {
  for (auto* item : batch) {
    auto sum = number_in(item->request(), "number");
    if (const auto* before = std::any_cast<std::int64_t>(&item->state()))
      sum += *before;
    item->set_state(sum);
    if (number_in(item->request(), "poison") > 0)
      return make_error(status_code::internal, "poisoned");
    item->respond(inference_response{{}, {{"sum", sum}}});
  }
  return {};
}

/// A call whose answer keeps whoever gives it, until the test lets him go.
class holding_call final : public inference_call {
 public:
  void send(inference_response) override {}
  void complete() override {}
  void respond(expected<inference_response>) override {
    held.release();
    go.acquire();
  }

  std::binary_semaphore held{0}, go{0};
};

/// A stateful model on real threads, its sequences' owner under a supervisor as in a node.
struct sequence_actor_test : testing::Test {
  sequence_actor_test() {
    model_folder folder;
    folder.name = "m";
    folder.queue.capacity = 1000;
    folder.instances = 2;
    model = std::make_shared<served_model>(std::move(folder), [] {});
    signature what;
    what.stateful = true;
    testing_support::make_ready(*model, std::move(what), {.limits = {.items = 8}});
    top = spawn_supervisor(
        system, {"m"},
        {{"m/sequences", [this](caf::actor_system& sys) { return owner = spawn_sequences(sys, model, clock); }}});
    self->request(top, caf::infinite, start_atom::value)
        .receive([] {}, [](const caf::error& e) { FAIL() << from_caf(e).message(); });
  }

  ~sequence_actor_test() override {
    stop_runners();
    stop_sequences();
  }

  void stop_sequences() {
    if (!top)
      return;
    self->send_exit(top, caf::exit_reason::user_shutdown);
    self->wait_for(top);
    top = nullptr;
  }

  void run(scripted_batch_instance::batch_work what = add_up, std::size_t count = 1) {
    for (std::size_t i = 0; i != count; ++i) {
      runners.push_back(instance_runner::make(std::make_unique<scripted_batch_instance>(what), model, pool));
      runners.back()->start();
    }
  }

  void stop_runners() {
    for (const auto& runner : std::exchange(runners, {})) {
      std::binary_semaphore stopped{0};
      runner->stop(make_error(status_code::unavailable, "stopping"), [&] { stopped.release(); });
      stopped.acquire();
    }
  }

  static call make(std::uint64_t id, std::int64_t number, bool starts, bool ends, bool poison = false) {
    auto result = std::make_shared<recorded_call>();
    result->input.parameters = {{"number", number}, {"poison", std::int64_t{poison}}};
    result->input.sequence = sequence_part{id, starts, ends};
    return result;
  }

  call send(std::uint64_t id, std::int64_t number, bool starts = false, bool ends = false, bool poison = false) {
    auto result = make(id, number, starts, ends, poison);
    if (const auto submitted = model->submit(result); !submitted)
      result->respond(submitted.error());
    return result;
  }

  /// What a gateway does when its client goes away.
  void cancel(recorded_call& one) {
    one.scope().cancel(gone());
    model->withdraw(one);
    one.respond(gone());
  }

  static error failure(const call& of) {
    const auto answer = of->wait();
    return answer ? make_error(status_code::ok, "no failure") : answer.error();
  }

  static std::int64_t sum(const expected<inference_response>& answer) {
    EXPECT_TRUE(answer) << to_string(answer.error());
    return answer ? std::get<std::int64_t>(answer->parameters.at("sum")) : -1;
  }

  caf::actor_system_config config;
  caf::actor_system system{config};
  caf::scoped_actor self{system};
  virtual_clock clock;
  std::shared_ptr<executor_pool> pool = std::make_shared<executor_pool>("CPU", pool_capacity{2});
  std::shared_ptr<served_model> model;
  std::vector<std::shared_ptr<instance_runner>> runners;
  caf::actor owner, top;
};

TEST_F(sequence_actor_test, adds_up_what_belongs_together) {
  run();
  const std::vector calls{send(1, 1, start), send(2, 10, start),        send(1, 2),
                          send(2, 20),       send(1, 4, no_start, end), send(1, 8)};
  EXPECT_EQ(sum(calls[4]->wait()), 7);
  EXPECT_EQ(sum(calls[3]->wait()), 30);
  EXPECT_EQ(failure(calls[5]).code, status_code::invalid_argument);
}

TEST_F(sequence_actor_test, a_batch_that_is_run_again_in_halves_adds_nothing_twice) {
  const std::vector starts{send(1, 1, start), send(2, 10, start), send(3, 100, start), send(4, 1000, start)};
  await([&] { return model->calls().stats().queued == 4; });
  run();
  for (const auto& each : starts)
    EXPECT_TRUE(each->wait());
  stop_runners();
  const std::vector calls{send(1, 1), send(2, 10, false, false, true), send(3, 100), send(4, 1000)};
  await([&] { return model->calls().stats().queued == 4; });
  run();
  EXPECT_EQ(sum(calls[0]->wait()), 2);
  EXPECT_EQ(failure(calls[1]).cause, "poisoned");
  EXPECT_EQ(sum(calls[2]->wait()), 200);
  EXPECT_EQ(sum(calls[3]->wait()), 2000);
  EXPECT_EQ(sum(send(2, 10)->wait()), 20) << "what failed has left nothing";
  EXPECT_EQ(model->counts().read().retried, 1u);
}

TEST_F(sequence_actor_test, what_an_instance_set_before_it_failed_is_forgotten_when_it_runs_again) {
  std::atomic<bool> first = true;
  const auto a = send(1, 1, start), b = send(2, 1, start);
  await([&] { return model->calls().stats().queued == 2; });
  run([&](std::span<work_item* const> batch, const cancel_token&) -> expected<void> {
    for (auto* item : batch)
      if (first)
        item->set_state(std::int64_t{666});
      else
        item->respond(inference_response{{}, {{"sum", std::int64_t{item->state().has_value()}}}});
    return first.exchange(false) ? expected<void>{make_error(status_code::internal, "once")} : expected<void>{};
  });
  EXPECT_EQ(sum(a->wait()), 0);
  EXPECT_EQ(sum(b->wait()), 0);
  EXPECT_EQ(sum(send(2, 1)->wait()), 0);
  stop_runners();
}

TEST_F(sequence_actor_test, what_is_cancelled_did_not_happen_wherever_it_was) {
  std::counting_semaphore<8> running{0}, go{0};
  run([&](std::span<work_item* const> batch, const cancel_token& token) {
    running.release();
    go.acquire();
    return add_up(batch, token);
  });
  const auto begun = send(1, 1, start);
  running.acquire();
  const auto waits = send(1, 10), runs = send(1, 100), last = send(1, 1000);
  cancel(*waits);
  EXPECT_EQ(failure(waits).cause, "gone");
  go.release();
  EXPECT_EQ(sum(begun->wait()), 1);
  running.acquire();
  cancel(*runs);
  go.release(2);
  EXPECT_EQ(sum(last->wait()), 1001);
  stop_runners();
  EXPECT_EQ(model->counts().read().executions, 3u) << "what waited never ran";
}

TEST_F(sequence_actor_test, a_drain_that_is_over_answers_what_waits) {
  const auto queued = send(1, 1, start), waits = send(1, 1), stays = send(1, 1);
  await([&] { return model->calls().stats().queued == 1; });
  for (const auto& each : {queued, waits})
    each->scope().cancel(gone());
  model->withdraw_cancelled();
  EXPECT_EQ(failure(queued).cause, "gone");
  EXPECT_EQ(failure(waits).cause, "gone");
  EXPECT_EQ(failure(stays).code, status_code::invalid_argument) << "its sequence was not started";
}

TEST_F(sequence_actor_test, idle_sequences_expire_by_the_clock) {
  run();
  EXPECT_EQ(sum(send(1, 1, start)->wait()), 1);
  await([&] { return clock.armed() == 1; });
  clock.advance(999ms);
  EXPECT_EQ(sum(send(1, 1)->wait()), 2);
  // The timer comes too early now, and is set again.
  await([&] { return clock.armed() == 1; });
  clock.advance(1ms);
  await([&] { return clock.armed() == 1; });
  clock.advance(1s);
  await([&] { return clock.armed() == 0; });
  EXPECT_EQ(failure(send(1, 1)).code, status_code::invalid_argument);
}

TEST_F(sequence_actor_test, when_it_fails_its_sequences_are_gone_and_others_can_begin) {
  run();
  EXPECT_EQ(sum(send(1, 1, start)->wait()), 1);
  const auto first = owner;
  self->monitor(first);
  caf::anon_send_exit(first, caf::exit_reason::kill);
  self->receive([](const caf::down_msg&) {});
  // Until its supervisor has started the next one nobody has them.
  await([&] {
    const auto again = send(1, 1)->wait();
    EXPECT_FALSE(again);
    return again.error().code == status_code::invalid_argument;
  });
  EXPECT_EQ(sum(send(1, 5, start)->wait()), 5);
}

TEST_F(sequence_actor_test, when_it_fails_what_waits_is_answered_and_what_runs_ends_as_it_would) {
  std::binary_semaphore running{0}, go{0};
  run([&](std::span<work_item* const> batch, const cancel_token& token) {
    running.release();
    go.acquire();
    return add_up(batch, token);
  });
  const auto runs = send(1, 1, start), waits = send(1, 1);
  running.acquire();
  caf::anon_send_exit(owner, caf::exit_reason::kill);
  EXPECT_EQ(failure(waits).code, status_code::unavailable);
  go.release();
  EXPECT_EQ(sum(runs->wait()), 1);
  stop_runners();
}

TEST_F(sequence_actor_test, a_model_that_stops_answers_what_waits_and_ends_its_sequences) {
  const auto queued = send(1, 1, start), waits = send(1, 1);
  await([&] { return model->calls().stats().queued == 1; });
  model->set_unavailable(make_error(status_code::unavailable, "stopping"));
  EXPECT_EQ(failure(queued).code, status_code::unavailable);
  EXPECT_EQ(failure(waits).code, status_code::unavailable);
  EXPECT_EQ(failure(send(1, 1)).code, status_code::unavailable);
  model->set_ready();
  run();
  EXPECT_EQ(failure(send(1, 1)).code, status_code::invalid_argument);
  stop_sequences();
  EXPECT_EQ(failure(send(1, 1, start)).code, status_code::unavailable) << "nobody takes it";
}

TEST_F(sequence_actor_test, no_more_requests_are_on_their_way_to_it_than_may_wait) {
  const auto holds = std::make_shared<holding_call>();
  holds->input.sequence = sequence_part{std::uint64_t{1}};
  ASSERT_TRUE(model->submit(holds));
  holds->held.acquire();
  std::vector<call> on_their_way;
  for (std::size_t i = 0; i != model->folder().queue.capacity; ++i)
    on_their_way.push_back(send(1, 1));
  const auto refused = model->submit(make(1, 1, start, end));
  holds->go.release();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, status_code::resource_exhausted);
  EXPECT_GT(refused.error().retry_after, 0ms);
  EXPECT_EQ(model->of_sequences().refused, 1u);
  for (const auto& each : on_their_way)
    EXPECT_EQ(failure(each).code, status_code::invalid_argument) << "it was let in, and had no sequence";
  run();
  EXPECT_EQ(sum(send(1, 5, start)->wait()), 5) << "there is room again";
}

// Clients that send without waiting, go away at any moment, and have requests that fail, over several instances: what
// each sequence was answered is what it comes to when it is reckoned one after the other.
TEST_F(sequence_actor_test, stress_every_sum_is_exact) {
  constexpr int clients = 4, sequences = 8, each = 2500;
  run(add_up, 2);
  std::vector<std::vector<call>> calls(clients * sequences);
  {
    std::vector<std::jthread> threads;
    for (int client = 0; client != clients; ++client)
      threads.emplace_back([&, client] {
        std::mt19937 random{static_cast<unsigned>(42 + client)};
        const auto one_in = [&](unsigned n) { return random() % n == 0; };
        std::vector<call> open;
        for (int i = 0; i != each; ++i) {
          const auto which = static_cast<std::size_t>(client * sequences) + random() % sequences;
          auto& mine = calls[which];
          mine.push_back(send(which + 1, static_cast<std::int64_t>(random() % 1000), mine.empty() || one_in(10),
                              one_in(12), one_in(20)));
          open.push_back(mine.back());
          if (one_in(4))
            cancel(*open[random() % open.size()]);
          if (open.size() > 100) {
            for (const auto& one : open)
              await([&] { return one->answered(); });
            open.clear();
          }
        }
        for (const auto& one : open)
          await([&] { return one->answered(); });
      });
  }
  int answered = 0, not_started = 0;
  for (const auto& of_one : calls) {
    std::optional<std::int64_t> state;
    for (const auto& one : of_one) {
      const auto& part = *one->input.sequence;
      const auto number = number_in(one->input, "number");
      const auto answer = one->wait();
      if (answer) {
        ++answered;
        ASSERT_TRUE(part.start || state);
        state = part.start ? number : *state + number;
        ASSERT_EQ(sum(answer), *state);
        if (part.end)
          state.reset();
      } else if (answer.error().code == status_code::invalid_argument) {
        ++not_started;
        ASSERT_FALSE(part.start || state);
      } else if (part.start) {
        state.reset();
      }
    }
  }
  EXPECT_GT(answered, 1000);
  EXPECT_GT(not_started, 100);
  await([&] { return model->calls().stats().queued == 0; });
}

}  // namespace
}  // namespace troupe
