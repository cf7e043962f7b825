#include "actors/concurrency/sleep.hpp"

#include "actors/concurrency/callers.hpp"

namespace troupe {
namespace {

using namespace std::chrono_literals;

template <class Caller>
class sleep_rules : public with_caller<Caller> {};

TYPED_TEST_SUITE(sleep_rules, all_callers, caller_names);

TYPED_TEST(sleep_rules, CS_30_a_sleeper_wakes_when_its_time_is_over_and_not_before) {
  auto sleeping = this->start(sleep_for(2s, this->scope.token()));
  this->clock.advance(2s - 1ns);
  EXPECT_FALSE(sleeping.done());
  this->clock.advance(1ns);
  EXPECT_TRUE(sleeping.get());
  EXPECT_TRUE(this->run(sleep_for(0s, this->scope.token())));
  EXPECT_TRUE(this->run(sleep_for(-1s, this->scope.token())));
  EXPECT_TRUE(this->run(sleep_until(this->clock.now(), this->scope.token())));
}

TYPED_TEST(sleep_rules, CS_1_a_sleeper_is_woken_by_a_cancellation_and_its_timer_is_gone) {
  auto sleeping = this->start(sleep_for(2s, this->scope.token()));
  EXPECT_EQ(this->clock.armed(), 1u);
  this->scope.cancel();
  EXPECT_EQ(code_of(sleeping.get()), status_code::cancelled);
  EXPECT_EQ(code_of(this->run(sleep_for(0s, this->scope.token()))), status_code::cancelled);
}

TYPED_TEST(sleep_rules, CS_38_of_many_who_sleep_until_one_moment_all_wake) {
  std::vector<started<sleep_operation>> sleeping;
  for (int i = 0; i != 100; ++i)
    sleeping.push_back(this->start(sleep_for(1s, this->scope.token())));
  this->clock.advance(1s);
  for (auto& sleeper : sleeping)
    EXPECT_TRUE(sleeper.get());
}

TYPED_TEST(sleep_rules, CS_30_the_deadline_of_the_scope_and_the_alarm_at_one_moment_end_the_sleep_once) {
  for (int i = 0; i != 20; ++i) {
    const auto timed = move_on_after(1s, this->scope.token());
    auto sleeping = this->start(sleep_for(1s, timed.token()), timed.token());
    this->clock.advance(1s);
    const auto code = code_of(sleeping.get());
    EXPECT_TRUE(code == status_code::ok || code == status_code::deadline_exceeded);
  }
}

TYPED_TEST(sleep_rules, CS_30_time_that_passes_while_the_timer_is_set_is_not_missed) {
  std::atomic<bool> stop = false;
  std::jthread time_passes{[&] {
    while (!stop)
      this->clock.advance(1us);
  }};
  for (int i = 0; i != 200; ++i)
    EXPECT_TRUE(this->run(sleep_for(1us, this->scope.token())));
  stop = true;
}

TEST(sleep, by_the_machine_s_clock_it_is_never_early) {
  for (const auto time : {1us, 100us, 3000us}) {
    const auto begin = steady_clock::now();
    EXPECT_TRUE(wait(sleep_for(time, {}), {}));
    EXPECT_GE(steady_clock::now() - begin, time);
  }
}

}  // namespace
}  // namespace troupe
