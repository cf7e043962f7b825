#include "actors/concurrency/event.hpp"

#include "actors/concurrency/callers.hpp"

namespace troupe {
namespace {

template <class Caller>
class event_rules : public with_caller<Caller> {};

TYPED_TEST_SUITE(event_rules, all_callers, caller_names);

TYPED_TEST(event_rules, EV_1_setting_wakes_all_who_wait_and_lets_all_later_ones_pass) {
  event happened;
  auto first = this->start(happened.wait());
  auto second = this->start(happened.wait());
  EXPECT_FALSE(happened.is_set());
  EXPECT_FALSE(first.done());
  const auto same = happened;
  happened.set();
  EXPECT_TRUE(first.get());
  EXPECT_TRUE(second.get());
  EXPECT_TRUE(same.is_set());
  happened.set();
  EXPECT_TRUE(this->run(same.wait()));
}

TYPED_TEST(event_rules, EV_1_a_wait_for_what_is_set_is_refused_in_a_cancelled_scope) {
  event happened;
  happened.set();
  this->scope.cancel();
  EXPECT_EQ(code_of(this->run(happened.wait())), status_code::cancelled);
}

TYPED_TEST(event_rules, EV_2_between_setting_and_cancelling_the_first_decides) {
  event happened;
  cancel_scope inner{no_deadline, this->scope.token()};
  auto cancelled = this->start(happened.wait(), inner.token());
  inner.cancel();
  happened.set();
  EXPECT_EQ(code_of(cancelled.get()), status_code::cancelled);
  event other;
  auto woken = this->start(other.wait());
  other.set();
  this->scope.cancel();
  EXPECT_TRUE(woken.get());
}

TYPED_TEST(event_rules, EV_3_statistics_count_who_waits) {
  event happened;
  EXPECT_EQ(happened.stats().waiting, 0u);
  cancel_scope inner{no_deadline, this->scope.token()};
  auto first = this->start(happened.wait());
  auto second = this->start(happened.wait(), inner.token());
  EXPECT_EQ(happened.stats().waiting, 2u);
  inner.cancel();
  EXPECT_EQ(happened.stats().waiting, 1u);
  happened.set();
  EXPECT_EQ(happened.stats().waiting, 0u);
  EXPECT_TRUE(first.get());
  EXPECT_FALSE(second.get());
}

}  // namespace
}  // namespace troupe
