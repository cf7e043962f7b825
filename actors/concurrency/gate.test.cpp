#include "actors/concurrency/gate.hpp"

#include "actors/concurrency/callers.hpp"

#include <atomic>
#include <thread>
#include <vector>

namespace troupe {
namespace {

template <class Caller>
class gate_rules : public with_caller<Caller> {};

TYPED_TEST_SUITE(gate_rules, all_callers, caller_names);

TEST(gate, closed_it_lets_nobody_in) {
  gate g;
  EXPECT_TRUE(g.enter());
  EXPECT_TRUE(g.enter());
  EXPECT_EQ(g.inside(), 2u);
  EXPECT_FALSE(g.closed());
  auto same = g;
  same.close();
  EXPECT_TRUE(g.closed());
  EXPECT_FALSE(g.enter());
  EXPECT_EQ(g.inside(), 2u);
  g.leave();
  same.leave();
  EXPECT_EQ(g.inside(), 0u);
  g.close();
  EXPECT_FALSE(g.enter());
}

TYPED_TEST(gate_rules, closed_while_empty_it_is_drained) {
  gate g;
  auto early = this->start(g.drained());
  EXPECT_FALSE(early.done()) << "an open gate is not drained";
  g.close();
  EXPECT_TRUE(early.get());
  EXPECT_TRUE(this->run(g.drained()));
}

TYPED_TEST(gate_rules, is_drained_when_the_last_one_is_out) {
  gate g;
  ASSERT_TRUE(g.enter());
  ASSERT_TRUE(g.enter());
  auto before = this->start(g.drained());
  g.leave();
  ASSERT_TRUE(g.enter());
  g.close();
  auto after = this->start(g.drained());
  g.leave();
  EXPECT_FALSE(g.enter());
  EXPECT_FALSE(before.done());
  EXPECT_FALSE(after.done());
  g.leave();
  EXPECT_TRUE(before.get());
  EXPECT_TRUE(after.get());
  EXPECT_FALSE(g.enter());
  EXPECT_TRUE(this->run(g.drained())) << "and stays so";
}

TYPED_TEST(gate_rules, a_wait_for_what_is_drained_is_refused_in_a_cancelled_scope) {
  gate g;
  g.close();
  this->scope.cancel();
  EXPECT_EQ(code_of(this->run(g.drained())), status_code::cancelled);
}

TYPED_TEST(gate_rules, between_the_last_one_and_the_end_of_the_time_the_first_decides) {
  gate g;
  ASSERT_TRUE(g.enter());
  g.close();
  cancel_scope soon{after(std::chrono::seconds{1}, this->scope.token()), this->scope.token()};
  cancel_scope late{after(std::chrono::seconds{2}, this->scope.token()), this->scope.token()};
  auto given_up = this->start(g.drained(), soon.token());
  auto waited = this->start(g.drained(), late.token());
  this->clock.advance(std::chrono::seconds{1});
  EXPECT_EQ(code_of(given_up.get()), status_code::deadline_exceeded);
  g.leave();
  this->clock.advance(std::chrono::seconds{1});
  EXPECT_TRUE(waited.get());
}

TYPED_TEST(gate_rules, statistics_count_who_is_inside_and_who_waits) {
  gate g;
  ASSERT_TRUE(g.enter());
  cancel_scope inner{no_deadline, this->scope.token()};
  auto first = this->start(g.drained());
  auto second = this->start(g.drained(), inner.token());
  EXPECT_EQ(g.stats().inside, 1u);
  EXPECT_FALSE(g.stats().closed);
  EXPECT_EQ(g.stats().waiting, 2u);
  inner.cancel();
  EXPECT_EQ(g.stats().waiting, 1u);
  g.close();
  g.leave();
  EXPECT_EQ(g.stats().waiting, 0u);
  EXPECT_EQ(g.stats().inside, 0u);
  EXPECT_TRUE(g.stats().closed);
  EXPECT_TRUE(first.get());
  EXPECT_FALSE(second.get());
}

TYPED_TEST(gate_rules, stress_it_is_drained_only_after_everybody_left) {
  for (int round = 0; round != 100; ++round) {
    gate g;
    std::atomic<int> inside = 0;
    std::vector<std::jthread> visitors;
    for (int i = 0; i != 3; ++i)
      visitors.emplace_back([&] {
        while (g.enter()) {
          ++inside;
          --inside;
          g.leave();
        }
      });
    auto early = this->start(g.drained());
    visitors.emplace_back([&] { g.close(); });
    auto late = this->start(g.drained());
    EXPECT_TRUE(early.get());
    EXPECT_EQ(inside, 0);
    EXPECT_TRUE(late.get());
  }
}

// Whoever waits may be the owner, and be gone as soon as he knows.
TEST(gate, stress_the_last_one_may_leave_a_gate_that_is_going) {
  for (int round = 0; round != 2000; ++round) {
    auto g = std::make_unique<gate>();
    ASSERT_TRUE(g->enter());
    std::jthread visitor{[inside = g.get()] { inside->leave(); }};
    g->close();
    EXPECT_TRUE(wait(g->drained(), {}));
    g.reset();
  }
}

}  // namespace
}  // namespace troupe
