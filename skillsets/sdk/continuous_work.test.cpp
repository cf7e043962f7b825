#include "skillsets/sdk/continuous_work.hpp"

#include "skillsets/sdk/testing.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace troupe {
namespace {

using testing_support::counting_instance;
using testing_support::recorded_item;

recorded_item up_to(std::int32_t n, cancel_token token = {}) {
  return recorded_item{counting_instance::up_to(n), std::move(token)};
}

TEST(continuous_work, gives_each_its_answers_step_by_step) {
  counting_instance engine;
  continuous_work work{engine};
  auto three = up_to(3), one = up_to(1);
  work.admit(three);
  ASSERT_TRUE(work.step());
  EXPECT_EQ(three.responses.size(), 1u);
  work.admit(one);
  EXPECT_FALSE(work.has_room());
  ASSERT_TRUE(work.step());
  EXPECT_TRUE(one.last && *one.last) << "who comes later may leave first";
  EXPECT_TRUE(work.has_room());
  EXPECT_FALSE(three.last);
  ASSERT_TRUE(work.step());
  ASSERT_TRUE(three.last && *three.last);
  EXPECT_EQ(counting_instance::number((*three.last)->outputs.front()), 3);
  EXPECT_TRUE(work.empty());
  ASSERT_TRUE(work.step());
  EXPECT_EQ(engine.steps, 3) << "nothing to do is no step";
}

TEST(continuous_work, who_cant_be_let_in_is_told_why) {
  counting_instance engine;
  continuous_work work{engine};
  auto bad = up_to(-1);
  work.admit(bad);
  EXPECT_TRUE(work.empty());
  ASSERT_TRUE(bad.last);
  EXPECT_EQ(bad.last->error().cause, "can't count to -1");
}

TEST(continuous_work, evicts_who_is_cancelled_before_the_next_step) {
  counting_instance engine;
  continuous_work work{engine};
  cancel_scope scope;
  auto gone = up_to(9, scope.token()), other = up_to(2);
  work.admit(gone);
  work.admit(other);
  ASSERT_TRUE(work.step());
  scope.cancel(make_error(status_code::cancelled, "not wanted"));
  ASSERT_TRUE(work.step());
  EXPECT_EQ(engine.evicted, 1);
  EXPECT_EQ(gone.responses.size(), 1u);
  ASSERT_TRUE(gone.last);
  EXPECT_EQ(gone.last->error().cause, "not wanted");
  EXPECT_TRUE(other.last && *other.last) << "the others go on";
}

TEST(continuous_work, a_failed_step_is_the_end_of_all_that_are_in_and_of_nothing_else) {
  counting_instance engine;
  continuous_work work{engine};
  auto first = up_to(1), second = up_to(2);
  work.admit(first);
  work.admit(second);
  ASSERT_TRUE(work.step());
  engine.on_step = [](std::size_t) -> expected<void> { throw std::runtime_error{"out of luck"}; };
  EXPECT_EQ(work.step().error().cause, "the skillset failed: out of luck");
  EXPECT_TRUE(work.empty());
  EXPECT_TRUE(engine.in.empty());
  EXPECT_TRUE(first.last && *first.last) << "it had its last word";
  EXPECT_FALSE(second.last) << "whoever admitted it ends it";
}

TEST(continuous_work, what_is_left_at_its_end_is_evicted_without_a_word) {
  counting_instance engine;
  auto item = up_to(2);
  {
    continuous_work work{engine};
    work.admit(item);
  }
  EXPECT_TRUE(engine.in.empty());
  EXPECT_FALSE(item.last);
}

TEST(continuous_instance, runs_a_batch_larger_than_itself) {
  counting_instance engine{2};
  std::size_t most = 0;
  engine.on_step = [&](std::size_t in) {
    most = std::max(most, in);
    return expected<void>{};
  };
  auto a = up_to(3), b = up_to(1), c = up_to(2);
  work_item* const batch[] = {&a, &b, &c};
  ASSERT_TRUE(run_contained(engine, batch, {}));
  for (const auto* item : {&a, &b, &c})
    EXPECT_TRUE(item->last && *item->last);
  EXPECT_EQ(most, 2u);
  EXPECT_EQ(engine.steps, 3);
}

TEST(continuous_instance, a_cancelled_batch_ends_after_the_step_that_runs) {
  counting_instance engine;
  cancel_scope scope;
  engine.on_step = [&](std::size_t) {
    scope.cancel(make_error(status_code::cancelled, "not wanted"));
    return expected<void>{};
  };
  auto item = up_to(1'000);
  work_item* const batch[] = {&item};
  EXPECT_EQ(engine.run(batch, scope.token()).error().cause, "not wanted");
  EXPECT_EQ(engine.steps, 1);
  EXPECT_TRUE(engine.in.empty());
}

TEST(continuous_instance, gives_one_request_all_of_its_responses) {
  counting_instance engine;
  const auto responses = run_one(engine, counting_instance::up_to(4), {});
  ASSERT_TRUE(responses);
  EXPECT_EQ(responses->size(), 4u);
}

}  // namespace
}  // namespace troupe
