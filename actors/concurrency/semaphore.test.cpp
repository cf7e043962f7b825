#include "actors/concurrency/semaphore.hpp"

#include "actors/concurrency/callers.hpp"

namespace troupe {
namespace {

template <class Caller>
class semaphore_rules : public with_caller<Caller> {
 protected:
  static void expect(const semaphore& of, std::int64_t value, std::size_t waiting) {
    EXPECT_EQ(of.stats().value, value);
    EXPECT_EQ(of.stats().waiting, waiting);
  }
};

TYPED_TEST_SUITE(semaphore_rules, all_callers, caller_names);

TEST(semaphore, SM_1_a_value_is_0_or_more_and_within_the_most) {
  EXPECT_EQ(code_of(semaphore::make(-1)), status_code::invalid_argument);
  EXPECT_EQ(code_of(semaphore::make(3, 2)), status_code::invalid_argument);
  EXPECT_EQ(code_of(semaphore::make(0, -1)), status_code::invalid_argument);
  EXPECT_TRUE(semaphore::make(0));
  EXPECT_TRUE(semaphore::make(2, 2));
}

TYPED_TEST(semaphore_rules, SM_2_without_a_permit_nobody_gets_in_and_the_most_is_not_exceeded) {
  auto permits = *semaphore::make(1, 1);
  EXPECT_EQ(code_of(permits.release()), status_code::failed_precondition);
  auto taken = this->run(permits.acquire());
  EXPECT_EQ(code_of(permits.try_acquire()), status_code::resource_exhausted);
  taken->release();
  taken->release();
  this->expect(permits, 1, 0);
  permits.try_acquire()->keep();
  this->expect(permits, 0, 0);
  EXPECT_TRUE(permits.release());
  EXPECT_EQ(code_of(permits.release()), status_code::failed_precondition);
  auto open = *semaphore::make(0);
  EXPECT_TRUE(open.release());
  EXPECT_TRUE(open.release());
  this->expect(open, 2, 0);
}

TYPED_TEST(semaphore_rules, SM_3_a_permit_that_comes_back_belongs_to_the_first_who_waits) {
  auto permits = *semaphore::make(0);
  auto first = this->start(permits.acquire());
  auto second = this->start(permits.acquire());
  EXPECT_TRUE(permits.release());
  this->expect(permits, 0, 1);
  EXPECT_EQ(code_of(permits.try_acquire()), status_code::resource_exhausted);
  {
    const auto permit = first.get();
    EXPECT_TRUE(permit);
    EXPECT_FALSE(second.done());
  }
  EXPECT_TRUE(second.get());
  this->expect(permits, 1, 0);
}

TYPED_TEST(semaphore_rules, SM_4_a_waiter_cancelled_before_the_release_takes_nothing) {
  auto permits = *semaphore::make(0);
  cancel_scope inner{no_deadline, this->scope.token()};
  auto cancelled = this->start(permits.acquire(), inner.token());
  auto next = this->start(permits.acquire());
  inner.cancel();
  this->expect(permits, 0, 1);
  EXPECT_TRUE(permits.release());
  EXPECT_EQ(code_of(cancelled.get()), status_code::cancelled);
  next.get()->keep();
  this->expect(permits, 0, 0);
}

TYPED_TEST(semaphore_rules, SM_4_a_waiter_given_a_permit_before_the_cancel_has_it) {
  auto permits = *semaphore::make(0);
  auto waiting = this->start(permits.acquire());
  EXPECT_TRUE(permits.release());
  this->scope.cancel();
  EXPECT_TRUE(waiting.get());
  this->expect(permits, 1, 0);
}

TYPED_TEST(semaphore_rules, SM_5_a_free_permit_is_refused_in_a_cancelled_scope_unless_without_waiting) {
  auto permits = *semaphore::make(1, 4);
  EXPECT_EQ(permits.stats().most, 4);
  this->scope.cancel();
  EXPECT_EQ(code_of(this->run(permits.acquire())), status_code::cancelled);
  EXPECT_TRUE(permits.try_acquire());
  this->expect(permits, 1, 0);
}

TYPED_TEST(semaphore_rules, SM_3_a_permit_that_is_assigned_to_goes_back_first) {
  auto first = *semaphore::make(1);
  auto second = *semaphore::make(1);
  auto permit = *first.try_acquire();
  auto waiting = this->start(first.acquire());
  auto other = *second.try_acquire();
  permit = std::move(other);
  waiting.get()->keep();
  this->expect(second, 0, 0);
}

}  // namespace
}  // namespace troupe
