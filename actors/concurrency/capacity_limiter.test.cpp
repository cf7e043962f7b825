#include "actors/concurrency/capacity_limiter.hpp"

#include "actors/concurrency/callers.hpp"

namespace troupe {
namespace {

struct borrower {
  owner id{this};
};

template <class Caller>
class capacity_limiter_rules : public with_caller<Caller> {
 protected:
  static void expect(const capacity_limiter& of, const std::vector<owner>& borrowers, std::size_t waiting) {
    EXPECT_EQ(of.stats().borrowers, borrowers);
    EXPECT_EQ(of.stats().borrowed, borrowers.size());
    EXPECT_EQ(of.stats().waiting, waiting);
  }

  borrower a, b, c, d;
};

TYPED_TEST_SUITE(capacity_limiter_rules, all_callers, caller_names);

TEST(capacity_limiter, CL_1_a_total_is_0_or_more_or_infinite) {
  EXPECT_EQ(code_of(capacity_limiter::make(-2)), status_code::invalid_argument);
  auto limiter = *capacity_limiter::make(0);
  const borrower somebody;
  EXPECT_EQ(code_of(limiter.try_acquire(somebody.id)), status_code::resource_exhausted);
  EXPECT_EQ(code_of(limiter.set_total(-2)), status_code::invalid_argument);
  EXPECT_TRUE(limiter.set_total(capacity_limiter::infinite));
  EXPECT_EQ(limiter.available(), INT64_MAX);
  EXPECT_TRUE(limiter.try_acquire(somebody.id));
}

TEST(capacity_limiter, CL_3_without_waiting_there_is_a_token_or_none) {
  auto limiter = *capacity_limiter::make(1);
  const borrower a, b;
  auto held = limiter.acquire_if_free(a.id);
  ASSERT_TRUE(held);
  EXPECT_FALSE(limiter.acquire_if_free(a.id));
  EXPECT_FALSE(limiter.acquire_if_free(b.id));
  held.reset();
  EXPECT_TRUE(limiter.acquire_if_free(b.id));
}

TYPED_TEST(capacity_limiter_rules, CL_1_with_0_tokens_nobody_gets_in_until_there_are_more) {
  auto limiter = *capacity_limiter::make(0);
  auto waiting = this->start(limiter.acquire(this->a.id));
  EXPECT_FALSE(waiting.done());
  EXPECT_TRUE(limiter.set_total(1));
  EXPECT_TRUE(waiting.get());
}

TYPED_TEST(capacity_limiter_rules, CL_2_a_borrower_holds_one_token_at_most) {
  auto limiter = *capacity_limiter::make(2);
  auto held = this->run(limiter.acquire(this->a.id));
  EXPECT_EQ(code_of(this->run(limiter.acquire(this->a.id))), status_code::failed_precondition);
  EXPECT_EQ(code_of(limiter.try_acquire(this->a.id)), status_code::failed_precondition);
  held->release();
  held->release();
  this->expect(limiter, {}, 0);
  EXPECT_TRUE(limiter.try_acquire(this->a.id));
}

TYPED_TEST(capacity_limiter_rules, CL_2_a_borrower_who_asked_twice_gets_one_token) {
  auto limiter = *capacity_limiter::make(0);
  auto first = this->start(limiter.acquire(this->a.id));
  auto second = this->start(limiter.acquire(this->a.id));
  EXPECT_TRUE(limiter.set_total(2));
  const auto token = first.get();
  EXPECT_TRUE(token);
  EXPECT_EQ(code_of(second.get()), status_code::failed_precondition);
  this->expect(limiter, {this->a.id}, 0);
}

TYPED_TEST(capacity_limiter_rules, CL_3_tokens_are_given_in_the_order_of_asking) {
  auto limiter = *capacity_limiter::make(1);
  auto held = limiter.try_acquire(this->a.id);
  auto second = this->start(limiter.acquire(this->b.id));
  auto third = this->start(limiter.acquire(this->c.id));
  EXPECT_EQ(code_of(limiter.try_acquire(this->d.id)), status_code::resource_exhausted);
  held->release();
  {
    const auto token = second.get();
    EXPECT_TRUE(token);
    EXPECT_FALSE(third.done());
  }
  EXPECT_TRUE(third.get());
  this->expect(limiter, {}, 0);
}

TYPED_TEST(capacity_limiter_rules, CL_4_more_tokens_let_in_as_many_and_fewer_throw_nobody_out) {
  auto limiter = *capacity_limiter::make(1);
  auto first = limiter.try_acquire(this->a.id);
  auto second = this->start(limiter.acquire(this->b.id));
  auto third = this->start(limiter.acquire(this->c.id));
  auto fourth = this->start(limiter.acquire(this->d.id));
  EXPECT_TRUE(limiter.set_total(3));
  auto second_token = second.get();
  auto third_token = third.get();
  EXPECT_FALSE(fourth.done());
  EXPECT_TRUE(limiter.set_total(1));
  EXPECT_EQ(limiter.available(), -2);
  first->release();
  second_token->release();
  EXPECT_EQ(limiter.available(), 0);
  EXPECT_FALSE(fourth.done());
  third_token->release();
  EXPECT_TRUE(fourth.get());
}

TYPED_TEST(capacity_limiter_rules, CL_5_a_freed_token_belongs_to_who_was_woken) {
  auto limiter = *capacity_limiter::make(1);
  auto held = limiter.try_acquire(this->a.id);
  auto waiting = this->start(limiter.acquire(this->b.id));
  held->release();
  EXPECT_EQ(code_of(limiter.try_acquire(this->c.id)), status_code::resource_exhausted);
  const auto token = waiting.get();
  this->expect(limiter, {this->b.id}, 0);
}

TYPED_TEST(capacity_limiter_rules, CL_6_a_cancelled_waiter_leaves_the_token_to_the_next) {
  auto limiter = *capacity_limiter::make(1);
  auto held = limiter.try_acquire(this->a.id);
  cancel_scope inner{no_deadline, this->scope.token()};
  auto cancelled = this->start(limiter.acquire(this->b.id), inner.token());
  auto next = this->start(limiter.acquire(this->c.id));
  inner.cancel();
  held->release();
  EXPECT_EQ(code_of(cancelled.get()), status_code::cancelled);
  const auto token = next.get();
  this->expect(limiter, {this->c.id}, 0);
}

TYPED_TEST(capacity_limiter_rules, CL_6_a_waiter_woken_before_the_cancel_has_the_token) {
  auto limiter = *capacity_limiter::make(1);
  auto held = limiter.try_acquire(this->a.id);
  auto waiting = this->start(limiter.acquire(this->b.id));
  held->release();
  this->scope.cancel();
  {
    const auto token = waiting.get();
    EXPECT_TRUE(token);
  }
  this->expect(limiter, {}, 0);
}

TYPED_TEST(capacity_limiter_rules, CL_7_statistics_tell_the_total_the_borrowers_and_who_waits) {
  auto limiter = *capacity_limiter::make(2);
  EXPECT_EQ(limiter.stats().total, 2);
  auto first = this->run(limiter.acquire(this->a.id));
  auto second = this->run(limiter.acquire(this->b.id));
  auto waiting = this->start(limiter.acquire(this->c.id));
  this->expect(limiter, {this->a.id, this->b.id}, 1);
  first->release();
  const auto third = waiting.get();
  this->expect(limiter, {this->b.id, this->c.id}, 0);
}

}  // namespace
}  // namespace troupe
