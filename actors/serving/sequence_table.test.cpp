#include "actors/serving/sequence_table.hpp"

#include "actors/concurrency/virtual_clock.hpp"
#include "actors/serving/testing.hpp"

#include <gtest/gtest.h>

namespace troupe {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using testing_support::recorded_call;
using call = std::shared_ptr<recorded_call>;

constexpr bool start = true, end = true, no_start = false;

error gone() {
  return make_error(status_code::cancelled, "gone");
}

/// A table whose requests the test runs, on a clock that the test moves. The state of a sequence is a sum.
struct sequences_test : testing::Test {
  sequences_test() {
    model_folder folder;
    folder.name = "m";
    folder.queue.capacity = 6;
    folder.sequences.capacity = 3;
    model = std::make_shared<served_model>(std::move(folder), [] {});
    signature what;
    what.stateful = true;
    testing_support::make_ready(*model, std::move(what), {.limits = {.items = 8}});
    table = std::make_unique<sequence_table>(model, clock, [this](const sequence_id& id) { over.push_back(id); });
  }

  ~sequences_test() override { batch.clear(); }

  call send(sequence_id id, std::int64_t number, bool starts = false, bool ends = false) {
    auto result = std::make_shared<recorded_call>();
    result->input.parameters = {{"number", number}};
    result->input.sequence = sequence_part{std::move(id), starts, ends};
    result->step = std::make_shared<sequence_step>();
    table->add(result);
    tell();
    return result;
  }
  call send(int id, std::int64_t number, bool starts = false, bool ends = false) {
    return send(sequence_id{static_cast<std::uint64_t>(id)}, number, starts, ends);
  }

  /// Tells the table whose requests nobody works on any more.
  void tell() {
    while (!over.empty()) {
      const auto id = over.front();
      over.erase(over.begin());
      table->ended(id);
    }
  }

  /// Takes the next batch, as an instance does.
  std::vector<recorded_call*> take() {
    model->calls().take(batch);
    std::vector<recorded_call*> result;
    for (const auto& work : batch)
      result.push_back(static_cast<recorded_call*>(static_cast<inference_call*>(work.get())));
    return result;
  }

  void let_go() {
    batch.clear();
    tell();
  }

  static void add_up(recorded_call& one) {
    auto sum = std::get<std::int64_t>(one.input.parameters.at("number"));
    if (one.step->before)
      sum += std::any_cast<std::int64_t>(*one.step->before);
    one.step->after = sum;
    one.respond(inference_response{{}, {{"sum", sum}}});
  }

  /// Answers whatever has its turn, and what that gives a turn to; how many requests ran.
  int run() {
    int count = 0;
    for (auto running = take(); !running.empty(); running = take()) {
      for (auto* one : running)
        add_up(*one);
      count += static_cast<int>(running.size());
      let_go();
    }
    return count;
  }

  static std::int64_t sum(const call& of) {
    if (!of->answered())
      return -1;
    const auto answer = of->wait();
    EXPECT_TRUE(answer) << to_string(answer.error());
    return answer ? std::get<std::int64_t>(answer->parameters.at("sum")) : -2;
  }

  static error failure(const call& of) {
    if (!of->answered())
      return make_error(status_code::ok, "not answered");
    const auto answer = of->wait();
    return answer ? make_error(status_code::ok, "no failure") : answer.error();
  }

  void cancel(const call& one) {
    one->scope().cancel(gone());
    table->withdraw_cancelled(one->input.sequence->id);
    tell();
  }

  virtual_clock clock;
  std::vector<sequence_id> over;  // before the model, whose queue tells it what it gives up in the end
  std::shared_ptr<served_model> model;
  std::unique_ptr<sequence_table> table;
  request_queue::batch batch;
};

TEST_F(sequences_test, requests_run_one_at_a_time_in_the_order_of_their_coming) {
  const std::vector calls{send(1, 1, start), send(1, 2), send(1, 3), send(1, 4)};
  EXPECT_EQ(table->stats().waiting, 3u);
  for (const auto& each : calls) {
    EXPECT_EQ(take(), std::vector{each.get()});
    EXPECT_TRUE(model->calls().stats().queued == 0);
    add_up(*each);
    EXPECT_EQ(model->calls().stats().queued, 0u) << "somebody still works on it";
    let_go();
  }
  EXPECT_EQ(sum(calls[3]), 10);
}

TEST_F(sequences_test, those_of_different_sequences_share_a_batch) {
  const auto a = send(1, 1, start), b = send(2, 10, start), c = send("1"s, 100, start);
  send(1, 1);
  EXPECT_EQ(take().size(), 3u) << "a number and a text are two sequences";
  for (const auto& each : {a, b, c})
    add_up(*each);
  let_go();
  const auto d = send("1"s, 100);
  run();
  EXPECT_EQ(sum(d), 200);
}

TEST_F(sequences_test, one_begins_with_a_start_and_is_over_after_its_end) {
  const auto early = failure(send(7, 1));
  EXPECT_EQ(early.code, status_code::invalid_argument);
  EXPECT_EQ(early.cause,
            "inference request for sequence 7 to model 'm' must specify the START flag on the first "
            "request of the sequence");
  const auto first = send(7, 1, start), last = send(7, 2, no_start, end), late = send(7, 4);
  EXPECT_EQ(run(), 2);
  EXPECT_EQ(sum(last), 3);
  EXPECT_EQ(failure(late).code, status_code::invalid_argument);
  EXPECT_EQ(table->stats().live, 0u);
  const auto both = send(7, 5, start, end);
  run();
  EXPECT_EQ(sum(both), 5);
  EXPECT_EQ(table->stats().live, 0u);
  EXPECT_EQ(model->of_sequences().started, 2u);
}

TEST_F(sequences_test, a_request_that_fails_leaves_the_state_as_it_was) {
  send(1, 1, start);
  run();
  const auto bad = send(1, 10), next = send(1, 100, no_start, end);
  take();
  bad->step->after = std::int64_t{666};
  bad->respond(make_error(status_code::internal, "broken"));
  let_go();
  take();
  next->respond(make_error(status_code::internal, "broken"));
  let_go();
  EXPECT_EQ(table->stats().live, 1u) << "an end that failed did not end it";
  const auto again = send(1, 100, no_start, end);
  run();
  EXPECT_EQ(sum(again), 101);
}

TEST_F(sequences_test, a_request_cancelled_while_it_runs_holds_up_the_next_until_it_ends_and_changes_nothing) {
  send(1, 1, start);
  run();
  const auto cancelled = send(1, 10), next = send(1, 100);
  EXPECT_EQ(take().size(), 1u);
  cancel(cancelled);
  cancelled->respond(gone());
  EXPECT_EQ(model->calls().stats().queued, 0u) << "somebody still works on it";
  add_up(*cancelled);
  let_go();
  run();
  EXPECT_EQ(sum(next), 101);
}

TEST_F(sequences_test, what_is_cancelled_while_it_waits_never_runs_and_leaves_its_place) {
  const auto first = send(1, 1, start);
  std::vector<call> waiting;
  for (int i = 0; i != 5; ++i)
    waiting.push_back(send(1, 10));
  EXPECT_EQ(failure(send(1, 100)).code, status_code::resource_exhausted);
  cancel(waiting[2]);
  EXPECT_EQ(failure(waiting[2]).cause, "gone") << "at once";
  const auto last = send(1, 100);
  EXPECT_EQ(run(), 6);
  EXPECT_EQ(sum(last), 141);
}

TEST_F(sequences_test, what_is_cancelled_in_the_queue_gives_its_turn_away) {
  const auto first = send(1, 1, start), second = send(1, 2, start);
  cancel(first);
  EXPECT_EQ(failure(first).cause, "gone");
  EXPECT_EQ(take(), std::vector{second.get()});
}

TEST_F(sequences_test, what_comes_cancelled_never_begins) {
  const auto late = std::make_shared<recorded_call>();
  late->input.sequence = sequence_part{std::uint64_t{1}, true, false};
  late->scope().cancel(gone());
  table->add(late);
  EXPECT_EQ(failure(late).cause, "gone");
  EXPECT_EQ(table->stats().live, 0u);
}

TEST_F(sequences_test, a_start_begins_a_live_sequence_anew) {
  const std::vector calls{send(1, 1, start), send(1, 2), send(1, 10, start), send(1, 20)};
  EXPECT_EQ(run(), 4);
  EXPECT_EQ(sum(calls[1]), 3);
  EXPECT_EQ(sum(calls[3]), 30);
  EXPECT_EQ(table->stats().live, 1u);
}

TEST_F(sequences_test, a_start_that_fails_leaves_no_sequence_for_those_behind_it) {
  send(1, 1, start);
  run();
  const auto failing = send(1, 10, start), behind = send(1, 20);
  take();
  failing->respond(make_error(status_code::internal, "broken"));
  let_go();
  EXPECT_EQ(failure(behind).code, status_code::invalid_argument) << "it does not belong to what was before";
  EXPECT_EQ(table->stats().live, 0u);
}

TEST_F(sequences_test, a_start_that_is_cancelled_while_it_waits_leaves_none_either) {
  const auto old = send(1, 1, start), waits = send(1, 10, start), behind = send(1, 20), other = send(1, 5, start);
  cancel(waits);
  EXPECT_EQ(run(), 2);
  EXPECT_EQ(sum(old), 1);
  EXPECT_EQ(failure(behind).code, status_code::invalid_argument);
  EXPECT_EQ(sum(other), 5);
}

TEST_F(sequences_test, one_that_is_idle_for_too_long_expires) {
  send(1, 1, start);
  clock.advance(10s);
  EXPECT_EQ(table->next_expiry(), no_deadline) << "it has something to do";
  run();
  EXPECT_EQ(table->next_expiry(), clock.now() + 1s);
  clock.advance(999ms);
  const auto kept = send(1, 2);
  run();
  EXPECT_EQ(sum(kept), 3);
  clock.advance(1s);
  table->expire();
  EXPECT_EQ(table->stats().live, 0u);
  EXPECT_EQ(model->of_sequences().expired, 1u);
  EXPECT_EQ(failure(send(1, 2)).message(),
            "inference request for sequence 1 to model 'm' must specify the START flag on the first request of the "
            "sequence; start it again: it has ended, or its start was not answered, or it had no request for 1000 ms");
}

TEST_F(sequences_test, one_whose_time_is_over_is_gone_even_before_anybody_looked) {
  send(1, 1, start);
  run();
  send(2, 1, start);
  run();
  clock.advance(1s);
  EXPECT_EQ(failure(send(1, 2)).code, status_code::invalid_argument);
  EXPECT_EQ(table->stats().live, 0u);
}

TEST_F(sequences_test, those_that_live_are_counted_and_none_once_nobody_owns_them) {
  const auto& counts = model->of_sequences();
  for (int id : {1, 2, 3})
    send(id, 1, start);
  run();
  EXPECT_EQ(counts.live, 3u);
  send(3, 1, no_start, end);
  run();
  EXPECT_EQ(counts.live, 2u);
  clock.advance(1s);
  send(4, 1, start);
  EXPECT_EQ(counts.live, 1u) << "two have expired";
  table.reset();
  EXPECT_EQ(counts.live, 0u);
  EXPECT_EQ(counts.started, 4u);
  EXPECT_EQ(counts.expired, 2u);
}

TEST_F(sequences_test, there_are_no_more_than_its_capacity) {
  for (int id : {1, 2, 3})
    send(id, 1, start);
  auto refused = failure(send(4, 1, start));
  EXPECT_EQ(refused.code, status_code::resource_exhausted);
  EXPECT_EQ(refused.retry_after, 1s);
  EXPECT_EQ(model->of_sequences().refused, 1u);
  run();
  clock.advance(300ms);
  refused = failure(send(4, 1, start));
  EXPECT_EQ(refused.retry_after, 700ms) << "when the first one expires";
  clock.advance(700ms);
  const auto admitted = send(4, 1, start);
  run();
  EXPECT_EQ(sum(admitted), 1);
}

TEST_F(sequences_test, one_whose_end_was_answered_makes_room_at_once) {
  for (int id : {1, 2, 3})
    send(id, 1, start);
  run();
  const auto last = send(1, 1, no_start, end), failing = send(2, 1, no_start, end);
  take();
  add_up(*last);
  const auto next = send(4, 1, start), one_more = send(5, 1, start);
  EXPECT_EQ(failure(send(6, 1, start)).code, status_code::resource_exhausted);
  failing->respond(make_error(status_code::internal, "broken"));
  let_go();
  EXPECT_EQ(run(), 2);
  EXPECT_EQ(table->stats().live, 4u) << "2, which did not end, 3, 4 and 5";
  EXPECT_EQ(failure(send(6, 1, start)).code, status_code::resource_exhausted);
}

TEST_F(sequences_test, what_waits_counts_with_what_is_queued) {
  send(1, 1, start);
  for (int i = 0; i != 4; ++i)
    send(1, 1);
  send(2, 1, start);
  const auto refused = failure(send(3, 1, start));
  EXPECT_EQ(refused.code, status_code::resource_exhausted);
  EXPECT_GT(refused.retry_after, 0ms);
  EXPECT_EQ(failure(send(1, 1)).code, status_code::resource_exhausted);
  EXPECT_EQ(run(), 6);
  EXPECT_EQ(table->stats().live, 2u) << "none is left of the third";
}

TEST_F(sequences_test, a_model_that_goes_ends_them_and_what_still_runs_begins_none) {
  const auto runs = send(1, 1, start), waits = send(1, 2), queued = send(2, 1, start);
  model->calls().withdraw(*queued);
  take();
  table->end_all(make_error(status_code::unavailable, "stopping"));
  EXPECT_EQ(failure(waits).cause, "stopping");
  add_up(*runs);
  let_go();
  EXPECT_EQ(sum(runs), 1);
  EXPECT_EQ(table->stats().live, 0u);
  EXPECT_EQ(table->stats().waiting, 0u);
  model->set_unavailable(make_error(status_code::internal, "broken"));
  EXPECT_EQ(failure(send(1, 1, start)).code, status_code::unavailable);
  EXPECT_EQ(table->stats().live, 0u);
}

TEST_F(sequences_test, whoever_waits_is_told_when_the_table_goes) {
  send(1, 1, start);
  const auto waits = send(1, 2);
  table.reset();
  EXPECT_EQ(failure(waits).code, status_code::unavailable);
  take();
}

}  // namespace
}  // namespace troupe
