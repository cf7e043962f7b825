#include "actors/concurrency/cancel_scope.hpp"

#include "actors/concurrency/callers.hpp"
#include "actors/concurrency/event.hpp"
#include "actors/concurrency/sleep.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace troupe {
namespace {

using namespace std::chrono_literals;

error gone(std::string cause = "the client went away") {
  return make_error(status_code::cancelled, std::move(cause));
}

TEST(cancel_token, default_is_never_cancelled) {
  const cancel_token token;
  EXPECT_FALSE(token.cancelled());
  EXPECT_FALSE(token.stop().stop_possible());
  EXPECT_EQ(token.deadline(), no_deadline);
}

TEST(cancel_scope, first_reason_wins_and_stays) {
  cancel_scope scope;
  const auto token = scope.token();
  EXPECT_FALSE(token.cancelled());
  EXPECT_TRUE(scope.cancel(gone("first")));
  EXPECT_FALSE(scope.cancel(gone("second")));
  EXPECT_TRUE(token.cancelled());
  EXPECT_TRUE(token.cancelled());
  EXPECT_EQ(token.reason().cause, "first");
}

TEST(cancel_scope, reaches_the_scopes_inside_it_only) {
  cancel_scope outer;
  cancel_scope inner{no_deadline, outer.token()};
  cancel_scope innermost{no_deadline, inner.token()};
  inner.cancel(gone("inner"));
  EXPECT_FALSE(outer.token().cancelled());
  EXPECT_EQ(innermost.token().reason().cause, "inner");
  outer.cancel(gone("outer"));
  EXPECT_EQ(inner.token().reason().cause, "inner");
}

TEST(cancel_scope, made_under_a_cancelled_scope_is_cancelled) {
  cancel_scope outer;
  outer.cancel(gone());
  const cancel_scope inner{no_deadline, outer.token()};
  EXPECT_TRUE(inner.token().cancelled());
  EXPECT_EQ(inner.token().reason().cause, gone().cause);
  EXPECT_TRUE(inner.token().reason().cancellation);
}

TEST(cancel_scope, may_end_before_and_after_its_parent) {
  auto outer = std::make_unique<cancel_scope>();
  { const cancel_scope short_lived{no_deadline, outer->token()}; }
  const cancel_scope inner{no_deadline, outer->token()};
  outer->cancel(gone());
  outer.reset();
  EXPECT_TRUE(inner.token().cancelled());
}

TEST(cancel_scope, passes_with_the_earliest_deadline_around_it) {
  const auto past = steady_clock::now() - 1s;
  const cancel_scope outer{past};
  const cancel_scope inner{no_deadline, outer.token()};
  EXPECT_TRUE(inner.token().cancelled());
  EXPECT_EQ(inner.token().deadline(), past);
  EXPECT_EQ(inner.token().reason().code, status_code::deadline_exceeded);
  const cancel_scope later{steady_clock::now() + 1h};
  EXPECT_FALSE(later.token().cancelled());
}

TEST(cancel_scope, wakes_a_waiting_condition_variable) {
  cancel_scope scope;
  std::mutex mutex;
  std::condition_variable_any changed;
  std::jthread canceller{[&] { scope.cancel(gone()); }};
  std::unique_lock lock{mutex};
  EXPECT_FALSE(changed.wait(lock, scope.token().stop(), [] { return false; }));
}

TEST(cancel_scope, stress_children_come_and_go_while_the_parent_is_cancelled) {
  for (int round = 0; round != 200; ++round) {
    cancel_scope parent;
    std::atomic<int> wrong = 0;
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i != 3; ++i)
        threads.emplace_back([&] {
          for (int n = 0; n != 50; ++n) {
            cancel_scope child{no_deadline, parent.token()};
            if (parent.token().cancelled() && n > 0) {
              // A parent that is cancelled must reach a child made after it, at once.
              cancel_scope late{no_deadline, parent.token()};
              wrong += late.token().cancelled() ? 0 : 1;
            }
            child.cancel(gone("own"));
          }
        });
      threads.emplace_back([&] { parent.cancel(gone("parent")); });
    }
    EXPECT_EQ(wrong, 0);
  }
}

// -- Rules, as far as they show in what waits -------------------------------------------------------------------------

template <class Caller>
class cancel_scope_rules : public with_caller<Caller> {
 protected:
  cancel_scope_rules() { passed_.set(); }

  /// A wait that is over at once, unless it is refused: AnyIO's checkpoint.
  expected<void> checkpoint(const cancel_token& token) { return this->run(passed_.wait(), token); }
  expected<void> checkpoint(const cancel_scope& in) { return checkpoint(in.token()); }

  /// A wait that only a cancellation ends.
  auto wait_forever(const cancel_scope& in) { return this->start(never_.wait(), in.token()); }

  cancel_scope inside(const cancel_scope& outer, bool shield = false) {
    return cancel_scope{scope_options{.shield = shield}, outer.token()};
  }

  void expect_nobody_waits() const { EXPECT_EQ(never_.stats().waiting, 0u); }

 private:
  event passed_;
  event never_;
};

TYPED_TEST_SUITE(cancel_scope_rules, all_callers, caller_names);

TYPED_TEST(cancel_scope_rules, CS_1_CS_2_every_wait_in_a_cancelled_scope_is_refused_again) {
  EXPECT_TRUE(this->checkpoint(this->scope));
  this->scope.cancel(gone("gone"));
  for (int i = 0; i != 3; ++i) {
    const auto refused = this->checkpoint(this->scope);
    EXPECT_EQ(code_of(refused), status_code::cancelled);
    EXPECT_TRUE(refused.error().cancellation);
  }
}

TYPED_TEST(cancel_scope_rules, CS_1_a_wait_that_has_begun_ends) {
  auto waiting = this->wait_forever(this->scope);
  EXPECT_FALSE(waiting.done());
  this->scope.cancel();
  EXPECT_EQ(code_of(waiting.get()), status_code::cancelled);
  this->expect_nobody_waits();
}

TYPED_TEST(cancel_scope_rules, CS_3_a_scope_made_under_a_cancelled_one_refuses_its_first_wait) {
  this->scope.cancel();
  const auto inner = this->inside(this->scope);
  EXPECT_EQ(code_of(this->checkpoint(inner)), status_code::cancelled);
}

TYPED_TEST(cancel_scope_rules, CS_4_the_scope_that_was_cancelled_swallows_its_own_cancellation) {
  auto inner = this->inside(this->scope);
  inner.cancel();
  EXPECT_TRUE(inner.leave(this->checkpoint(inner)));
  EXPECT_TRUE(this->checkpoint(this->scope));
}

TYPED_TEST(cancel_scope_rules, CS_4_leaving_passes_values_and_errors_that_are_no_cancellation) {
  auto inner = this->inside(this->scope);
  inner.cancel();
  const auto value = inner.leave(expected<int>{3});
  EXPECT_EQ(**value, 3);
  auto other = this->inside(this->scope);
  other.cancel();
  EXPECT_EQ(code_of(other.leave(expected<int>{make_error(status_code::not_found, "none")})), status_code::not_found);
  auto third = this->inside(this->scope);
  third.cancel();
  EXPECT_EQ(*third.leave(expected<int>{third.token().reason()}), std::nullopt);
}

TYPED_TEST(cancel_scope_rules, CS_5_called_is_not_caught) {
  auto inner = this->inside(this->scope);
  inner.cancel();
  EXPECT_TRUE(inner.cancel_called());
  EXPECT_TRUE(inner.leave({}));
  EXPECT_FALSE(inner.cancelled_caught());
  auto second = this->inside(this->scope);
  EXPECT_FALSE(second.cancel_called());
  second.cancel();
  EXPECT_TRUE(second.leave(this->checkpoint(second)));
  EXPECT_TRUE(second.cancelled_caught());
}

TYPED_TEST(cancel_scope_rules, CS_6_cancelling_again_from_another_thread_changes_nothing) {
  auto inner = this->inside(this->scope);
  auto waiting = this->wait_forever(inner);
  std::jthread{[&] { EXPECT_TRUE(inner.cancel(gone("first"))); }}.join();
  EXPECT_FALSE(inner.cancel(gone("second")));
  EXPECT_EQ(waiting.get().error().cause, "first");
  EXPECT_TRUE(this->checkpoint(this->scope));
}

TYPED_TEST(cancel_scope_rules, CS_7_scope_after_scope_may_be_cancelled) {
  for (int i = 0; i != 5; ++i) {
    auto inner = this->inside(this->scope);
    auto waiting = this->wait_forever(inner);
    inner.cancel();
    EXPECT_TRUE(inner.leave(waiting.get()));
    EXPECT_TRUE(inner.cancelled_caught());
  }
  EXPECT_TRUE(this->checkpoint(this->scope));
}

TYPED_TEST(cancel_scope_rules, CS_8_the_reason_reaches_who_waited) {
  const auto inner = this->inside(this->scope);
  auto waiting = this->wait_forever(inner);
  this->scope.cancel(make_error(status_code::unavailable, "the model is unloaded", "load it"));
  const auto ended = waiting.get();
  EXPECT_EQ(ended.error().code, status_code::unavailable);
  EXPECT_EQ(ended.error().message(), "the model is unloaded; load it");
  EXPECT_TRUE(ended.error().cancellation);
}

TYPED_TEST(cancel_scope_rules, CS_9_cancelling_a_scope_whose_work_is_done_does_nothing) {
  auto inner = this->inside(this->scope);
  const auto token = inner.token();
  EXPECT_TRUE(this->checkpoint(inner));
  EXPECT_TRUE(inner.leave({}));
  EXPECT_TRUE(inner.cancel());
  EXPECT_FALSE(inner.cancelled_caught());
  EXPECT_TRUE(this->checkpoint(this->scope));
  EXPECT_EQ(this->clock.armed(), 0u);
}

TYPED_TEST(cancel_scope_rules, CS_10_an_outer_cancellation_passes_the_scopes_inside) {
  auto outer = this->inside(this->scope);
  auto inner = this->inside(outer);
  auto waiting = this->wait_forever(inner);
  outer.cancel(gone("outer"));
  auto left = inner.leave(waiting.get());
  EXPECT_EQ(left.error().cause, "outer");
  EXPECT_FALSE(inner.cancel_called());
  EXPECT_FALSE(inner.cancelled_caught());
  EXPECT_TRUE(outer.leave(std::move(left)));
  EXPECT_TRUE(outer.cancelled_caught());
}

TYPED_TEST(cancel_scope_rules, CS_11_cancelling_the_inner_scope_leaves_the_outer_running) {
  auto outer = this->inside(this->scope);
  auto inner = this->inside(outer);
  auto outer_wait = this->wait_forever(outer);
  auto inner_wait = this->wait_forever(inner);
  inner.cancel();
  EXPECT_TRUE(inner.leave(inner_wait.get()));
  EXPECT_TRUE(this->checkpoint(outer));
  EXPECT_FALSE(outer_wait.done());
  outer.cancel();
  EXPECT_FALSE(outer_wait.get());
}

TYPED_TEST(cancel_scope_rules, CS_12_of_two_cancelled_scopes_the_outer_catches) {
  for (const bool inner_first : {true, false}) {
    auto outer = this->inside(this->scope);
    auto inner = this->inside(outer);
    (inner_first ? inner : outer).cancel(gone("first"));
    (inner_first ? outer : inner).cancel(gone("second"));
    auto left = inner.leave(this->checkpoint(inner));
    EXPECT_EQ(left.error().cause, "first");
    EXPECT_FALSE(inner.cancelled_caught());
    EXPECT_TRUE(outer.leave(std::move(left)));
    EXPECT_TRUE(outer.cancelled_caught());
  }
}

TYPED_TEST(cancel_scope_rules, CS_13_a_shielded_scope_catches_its_own_cancellation_and_the_outer_one_waits) {
  auto outer = this->inside(this->scope);
  {
    auto inner = this->inside(outer, true);
    outer.cancel(gone("outer"));
    inner.cancel(gone("inner"));
    auto refused = this->checkpoint(inner);
    EXPECT_EQ(refused.error().cause, "inner");
    EXPECT_TRUE(inner.leave(std::move(refused)));
    EXPECT_TRUE(inner.cancelled_caught());
  }
  EXPECT_FALSE(outer.cancelled_caught());
  EXPECT_TRUE(outer.leave(this->checkpoint(outer)));
  EXPECT_TRUE(outer.cancelled_caught());
}

TYPED_TEST(cancel_scope_rules, CS_14_leaving_a_scope_twice_is_an_error) {
  auto inner = this->inside(this->scope);
  EXPECT_TRUE(inner.leave({}));
  EXPECT_EQ(code_of(inner.leave({})), status_code::failed_precondition);
}

TYPED_TEST(cancel_scope_rules, CS_15_scopes_nest_to_any_depth) {
  constexpr int depth = 10'000;
  std::vector<cancel_scope> scopes{this->inside(this->scope)};
  for (int i = 1; i != depth; ++i)
    scopes.push_back(this->inside(scopes.back()));
  auto waiting = this->wait_forever(scopes.back());
  scopes.front().cancel(gone("outermost"));
  auto left = waiting.get();
  for (auto i = scopes.rbegin(); i != scopes.rend(); ++i)
    left = i->leave(std::move(left));
  EXPECT_TRUE(left);
  EXPECT_TRUE(scopes.front().cancelled_caught());
}

TYPED_TEST(cancel_scope_rules, CS_20_CS_23_a_shield_hides_outer_cancellations_and_deadlines_until_it_is_left) {
  auto outer = move_on_after(1s, this->scope.token());
  auto shielded = this->inside(outer, true);
  auto waiting = this->wait_forever(shielded);
  this->clock.advance(2s);
  this->scope.cancel();
  EXPECT_TRUE(outer.token().cancelled());
  EXPECT_FALSE(shielded.token().cancelled());
  EXPECT_FALSE(waiting.done());
  EXPECT_TRUE(this->run(sleep_for(0s, shielded.token()), shielded.token()));
  EXPECT_TRUE(shielded.leave(this->checkpoint(shielded)));
  EXPECT_FALSE(this->checkpoint(outer));
  shielded.cancel();
  EXPECT_FALSE(waiting.get());
}

TYPED_TEST(cancel_scope_rules, CS_21_a_shielded_scope_s_own_cancellation_and_deadline_work) {
  auto shielded = this->inside(this->scope, true);
  auto waiting = this->wait_forever(shielded);
  shielded.cancel();
  EXPECT_TRUE(shielded.leave(waiting.get()));
  auto timed = this->inside(this->scope, true);
  timed.set_deadline(after(1s, timed.token()));
  auto timed_wait = this->wait_forever(timed);
  this->clock.advance(1s);
  EXPECT_EQ(code_of(timed_wait.get()), status_code::deadline_exceeded);
}

TYPED_TEST(cancel_scope_rules, CS_22_a_shield_goes_up_and_down_and_lowering_it_delivers_at_once) {
  auto inner = this->inside(this->scope);
  this->scope.cancel(gone("outer"));
  for (int i = 0; i != 3; ++i) {
    EXPECT_FALSE(this->checkpoint(inner));
    inner.set_shield(true);
    EXPECT_TRUE(inner.shield());
    EXPECT_TRUE(this->checkpoint(inner));
    auto waiting = this->wait_forever(inner);
    EXPECT_FALSE(waiting.done());
    inner.set_shield(false);
    EXPECT_EQ(waiting.get().error().cause, "outer");
  }
}

TYPED_TEST(cancel_scope_rules, CS_24_a_shield_around_one_task_does_not_shield_its_siblings) {
  const auto group = this->inside(this->scope);
  const auto host = this->inside(group, true);
  const auto child = this->inside(group);
  auto host_wait = this->wait_forever(host);
  auto child_wait = this->wait_forever(child);
  this->scope.cancel();
  EXPECT_FALSE(child_wait.get());
  EXPECT_FALSE(host_wait.done());
  auto last = host;
  last.cancel();
  EXPECT_FALSE(host_wait.get());
}

TYPED_TEST(cancel_scope_rules, CS_25_a_shield_protects_what_is_in_it_only) {
  const auto child = this->inside(this->scope);
  auto shielded = this->inside(child, true);
  auto inside_wait = this->wait_forever(shielded);
  auto outside_wait = this->wait_forever(child);
  this->scope.cancel();
  EXPECT_FALSE(outside_wait.get());
  EXPECT_FALSE(inside_wait.done());
  shielded.cancel();
  EXPECT_FALSE(inside_wait.get());
}

TYPED_TEST(cancel_scope_rules, CS_26_below_a_shield_that_is_gone_the_first_wait_is_refused_wherever_it_is) {
  auto outermost = this->inside(this->scope);
  auto outer = this->inside(outermost);
  auto shielded = this->inside(outer, true);
  const auto inner = this->inside(shielded);
  outer.cancel(gone("outer"));
  outermost.cancel(gone("outermost"));
  EXPECT_TRUE(this->checkpoint(inner));
  shielded.set_shield(false);
  EXPECT_EQ(this->checkpoint(inner).error().cause, "outer");
  EXPECT_FALSE(this->checkpoint(shielded));
  EXPECT_FALSE(this->checkpoint(outermost));
}

TYPED_TEST(cancel_scope_rules, CS_30_CS_32_a_scope_with_a_time_is_left_quietly_when_that_is_over) {
  for (const bool absolute : {false, true}) {
    auto timed =
        absolute ? move_on_at(this->clock.now() + 3s, this->scope.token()) : move_on_after(3s, this->scope.token());
    auto waiting = this->wait_forever(timed);
    this->clock.advance(3s - 1ns);
    EXPECT_FALSE(timed.cancel_called());
    this->clock.advance(1ns);
    EXPECT_TRUE(timed.leave(waiting.get()));
    EXPECT_TRUE(timed.cancel_called());
    EXPECT_TRUE(timed.cancelled_caught());
  }
  auto at_once = move_on_after(0s, this->scope.token());
  EXPECT_FALSE(this->checkpoint(at_once));
  EXPECT_EQ(this->inside(this->scope).deadline(), no_deadline);
  EXPECT_EQ(move_on_after(steady_clock::duration::max(), this->scope.token()).deadline(), no_deadline);
}

TYPED_TEST(cancel_scope_rules, CS_31_CS_32_a_scope_that_fails_says_so_unless_it_was_cancelled_before) {
  for (const bool absolute : {false, true}) {
    auto timed = absolute ? fail_at(this->clock.now() + 3s, this->scope.token()) : fail_after(3s, this->scope.token());
    auto waiting = this->wait_forever(timed);
    this->clock.advance(3s);
    const auto left = timed.leave(waiting.get());
    EXPECT_EQ(code_of(left), status_code::deadline_exceeded);
    EXPECT_FALSE(left.error().cancellation);
  }
  auto cancelled = fail_after(3s, this->scope.token());
  cancelled.cancel();
  this->clock.advance(3s);
  EXPECT_TRUE(cancelled.leave(this->checkpoint(cancelled)));
  auto late = fail_after(3s, this->scope.token());
  this->clock.advance(3s);
  EXPECT_FALSE(late.cancel());
  EXPECT_EQ(code_of(late.leave(this->checkpoint(late))), status_code::deadline_exceeded);
}

TYPED_TEST(cancel_scope_rules, CS_33_a_deadline_moves_both_ways_while_somebody_waits) {
  auto timed = move_on_after(2s, this->scope.token());
  auto waiting = this->wait_forever(timed);
  timed.set_deadline(this->clock.now() + 10s);
  this->clock.advance(9s);
  EXPECT_FALSE(waiting.done());
  timed.set_deadline(this->clock.now() + 500ms);
  this->clock.advance(500ms);
  EXPECT_EQ(code_of(waiting.get()), status_code::deadline_exceeded);
  auto past = this->inside(this->scope);
  auto past_wait = this->wait_forever(past);
  past.set_deadline(this->clock.now());
  EXPECT_EQ(code_of(past_wait.get()), status_code::deadline_exceeded);
  auto none = move_on_after(1s, this->scope.token());
  auto endless = this->wait_forever(none);
  none.set_deadline(no_deadline);
  this->clock.advance(1h);
  EXPECT_FALSE(endless.done());
}

TYPED_TEST(cancel_scope_rules, CS_34_the_effective_deadline_is_the_earliest_up_to_the_nearest_shield) {
  const auto now = this->clock.now();
  auto outer = move_on_at(now + 5s, this->scope.token());
  const auto inner = move_on_at(now + 9s, outer.token());
  auto shielded = this->inside(inner, true);
  EXPECT_EQ(inner.token().effective_deadline(), now + 5s);
  EXPECT_EQ(shielded.token().effective_deadline(), no_deadline);
  shielded.set_deadline(now + 20s);
  EXPECT_EQ(this->inside(shielded).token().effective_deadline(), now + 20s);
  shielded.set_shield(false);
  EXPECT_EQ(shielded.token().effective_deadline(), now + 5s);
  outer.set_deadline(now + 30s);
  EXPECT_EQ(shielded.token().effective_deadline(), now + 9s);
  outer.cancel();
  EXPECT_EQ(inner.token().effective_deadline(), steady_clock::time_point::min());
}

TYPED_TEST(cancel_scope_rules, CS_35_of_nested_deadlines_the_earlier_outer_one_wins) {
  auto outer = fail_after(1s, this->scope.token());
  auto inner = fail_after(2s, outer.token());
  auto waiting = this->wait_forever(inner);
  this->clock.advance(1s);
  auto left = inner.leave(waiting.get());
  EXPECT_TRUE(left.error().cancellation);
  EXPECT_FALSE(inner.cancel_called());
  EXPECT_EQ(code_of(outer.leave(std::move(left))), status_code::deadline_exceeded);
  EXPECT_TRUE(outer.cancelled_caught());
}

TYPED_TEST(cancel_scope_rules, CS_36_a_deadline_inside_a_shield_fails_though_an_outer_scope_is_cancelled) {
  const auto shielded = this->inside(this->scope, true);
  this->scope.cancel();
  auto timed = fail_after(1s, shielded.token());
  auto waiting = this->wait_forever(timed);
  this->clock.advance(1s);
  const auto left = timed.leave(waiting.get());
  EXPECT_EQ(code_of(left), status_code::deadline_exceeded);
  EXPECT_FALSE(left.error().cancellation);
}

TYPED_TEST(cancel_scope_rules, CS_37_a_deadline_ends_all_who_wait_under_it_and_is_reported_once) {
  auto timed = fail_after(1s, this->scope.token());
  const auto child = this->inside(timed);
  auto first = this->wait_forever(child);
  auto second = this->wait_forever(child);
  this->clock.advance(1s);
  EXPECT_TRUE(first.get().error().cancellation);
  auto last = second.get();
  EXPECT_TRUE(last.error().cancellation);
  EXPECT_FALSE(timed.leave(std::move(last)).error().cancellation);
}

TYPED_TEST(cancel_scope_rules, CS_38_of_many_scopes_with_one_deadline_none_is_forgotten) {
  std::vector<cancel_scope> scopes;
  using waiting = decltype(this->wait_forever(this->scope));
  std::vector<waiting> waits;
  for (int i = 0; i != 100; ++i) {
    scopes.push_back(move_on_after(1s, this->scope.token()));
    waits.push_back(this->wait_forever(scopes.back()));
  }
  this->clock.advance(1s);
  for (auto& wait : waits)
    EXPECT_EQ(code_of(wait.get()), status_code::deadline_exceeded);
  this->expect_nobody_waits();
}

TYPED_TEST(cancel_scope_rules, CS_39_a_token_is_cancelled_while_the_next_wait_would_be_refused) {
  auto inner = this->inside(this->scope);
  const auto agree = [&] { return inner.token().cancelled() == !this->checkpoint(inner); };
  EXPECT_TRUE(agree());
  this->scope.cancel();
  EXPECT_TRUE(inner.token().cancelled());
  EXPECT_TRUE(agree());
  inner.set_shield(true);
  EXPECT_FALSE(inner.token().cancelled());
  EXPECT_TRUE(agree());
  inner.cancel();
  EXPECT_TRUE(agree());
}

/// Work that can't be stopped at once: it delivers what it was about when it gets there.
class stubborn_operation {
 public:
  using result_type = int;

  explicit stubborn_operation(std::shared_ptr<std::atomic<pending<int>*>> who) : who_(std::move(who)) {}

  std::optional<expected<int>> begin(pending<int>& who) {
    *who_ = &who;
    return std::nullopt;
  }
  bool abandon(pending<int>&, error) { return false; }

 private:
  std::shared_ptr<std::atomic<pending<int>*>> who_;
};

TYPED_TEST(cancel_scope_rules, CS_40_what_can_t_be_stopped_delivers_and_the_cancellation_stands) {
  const auto who = std::make_shared<std::atomic<pending<int>*>>();
  auto waiting = this->start(stubborn_operation{who});
  this->scope.cancel();
  EXPECT_FALSE(waiting.done());
  (*who).load()->result.emplace(5);
  (*who).load()->wake();
  EXPECT_EQ(*waiting.get(), 5);
  EXPECT_FALSE(this->checkpoint(this->scope));
}

// -- Size, and races --------------------------------------------------------------------------------------------------

/// A wait that holds no thread and whose end is counted.
class counted_wait final : public async_wait<event::wait_operation> {
 public:
  counted_wait(const event& of, const cancel_token& token, std::atomic<int>& ended)
      : async_wait(of.wait(), token), ended_(ended) {}

 private:
  void resume() noexcept override { ++ended_; }

  std::atomic<int>& ended_;
};

TEST(cancel_scope, CS_6_a_hundred_thousand_waits_are_cancelled_in_linear_time) {
  constexpr int many = 100'000;
  const auto time_to_cancel = [](int waits) {
    event never;
    cancel_scope scope;
    std::atomic<int> ended = 0;
    std::vector<std::unique_ptr<counted_wait>> all;
    for (int i = 0; i != waits; ++i)
      all.push_back(std::make_unique<counted_wait>(never, scope.token(), ended));
    for (auto& wait : all)
      wait->start();
    EXPECT_EQ(never.stats().waiting, static_cast<std::size_t>(waits));
    const auto begin = steady_clock::now();
    scope.cancel();
    const auto time = steady_clock::now() - begin;
    EXPECT_EQ(ended, waits);
    EXPECT_EQ(never.stats().waiting, 0u);
    return time;
  };
  // Ten times the waits in about ten times the time: with 100 times it would be quadratic.
  const auto few = std::max<steady_clock::duration>(time_to_cancel(many / 10), 1ms);
  EXPECT_LT(time_to_cancel(many), few * 50);
}

TEST(cancel_scope, CS_15_a_hundred_thousand_nested_scopes_are_cancelled_and_destroyed_without_recursion) {
  for (const bool inner_first : {true, false}) {
    std::vector<cancel_scope> scopes(1);
    for (int i = 1; i != 100'000; ++i)
      scopes.emplace_back(no_deadline, scopes.back().token());
    const auto token = scopes.back().token();
    scopes.front().cancel(gone());
    EXPECT_TRUE(token.cancelled());
    if (inner_first)
      while (!scopes.empty())
        scopes.pop_back();
  }
}

TEST(cancel_scope, CS_15_CS_38_nested_scopes_with_one_deadline_expire_in_linear_time) {
  virtual_clock clock;
  std::vector<cancel_scope> scopes;
  scopes.emplace_back(scope_options{.deadline = clock.now() + 1s, .clock = &clock});
  for (int i = 1; i != 20'000; ++i)
    scopes.push_back(move_on_at(clock.now() + 1s, scopes.back().token()));
  const auto stop = scopes.back().token().stop();
  clock.advance(1s);
  EXPECT_TRUE(stop.stop_requested());
  EXPECT_TRUE(scopes.front().cancel_called());
  EXPECT_TRUE(scopes[10'000].cancel_called());
}

TEST(cancel_scope, CS_20_a_wait_that_a_shield_came_too_late_for_ends_with_the_reason) {
  cancel_scope outer;
  cancel_scope inner{no_deadline, outer.token()};
  outer.cancel(gone("outer"));
  inner.set_shield(true);
  EXPECT_FALSE(inner.token().cancelled());
  EXPECT_EQ(inner.token().reason().cause, "outer");
  EXPECT_TRUE(inner.token().reason().cancellation);
}

TEST(cancel_scope, CS_22_CS_33_stress_shields_deadlines_and_scopes_change_while_others_wait) {
  for (int round = 0; round != 20; ++round) {
    virtual_clock clock;
    cancel_scope root{scope_options{.clock = &clock}};
    cancel_scope middle{no_deadline, root.token()};
    std::atomic<bool> stop = false;
    std::atomic<int> waits = 0;
    std::vector<std::jthread> threads;
    threads.emplace_back([&] {
      for (int i = 0; !stop; ++i)
        middle.set_shield(i % 2 == 0);
    });
    threads.emplace_back([&] {
      while (!stop)
        root.set_deadline(clock.now() + 10ms);
    });
    threads.emplace_back([&] {
      while (!stop) {
        const auto timed = move_on_after(1ms, middle.token());
        EXPECT_FALSE(wait(event{}.wait(), timed.token()));
        ++waits;
      }
    });
    while (waits < 100)
      clock.advance(1ms);
    root.cancel();
    middle.set_deadline(clock.now());
    stop = true;
    threads.clear();
    EXPECT_EQ(clock.armed(), 0u);
  }
}

}  // namespace
}  // namespace troupe
