#include "skillsets/text_embedding/shape_memory.hpp"

#include <gtest/gtest.h>

namespace troupe {
namespace {

TEST(shape_memory, any_shape_may_run_where_nothing_was_stopped) {
  shape_memory memory;
  EXPECT_TRUE(memory.may_run({1, 2}));
  memory.ended({1, 2});
  EXPECT_TRUE(memory.may_run({1, 2}));
}

TEST(shape_memory, after_a_stop_the_shape_before_it_may_not_nor_what_shares_an_extent_with_it) {
  shape_memory memory;
  memory.ended({4, 6});
  memory.stopped({3, 9});
  for (const ov::Shape& known : {ov::Shape{4, 6}, {4, 5}, {5, 6}, {3, 8}, {2, 12}})
    EXPECT_FALSE(memory.may_run(known)) << known;
  for (const ov::Shape& other : {ov::Shape{3, 9}, {3, 5}, {5, 9}, {1, 27}, {6, 5}})
    EXPECT_TRUE(memory.may_run(other)) << other;
  memory.ended({6, 5});
  EXPECT_TRUE(memory.may_run({4, 6}));
}

TEST(shape_memory, a_second_stop_adds_the_shape_of_the_first) {
  shape_memory memory;
  memory.stopped({5, 7});
  EXPECT_TRUE(memory.may_run({5, 7})) << "nothing was ever executed but this";
  memory.stopped({5, 7});
  memory.stopped({6, 8});
  EXPECT_FALSE(memory.may_run({5, 9}));
  EXPECT_TRUE(memory.may_run({6, 9}));
}

TEST(shape_memory, a_stranger_may_always_run) {
  shape_memory memory;
  memory.ended({1, 2});
  for (std::size_t i = 1; i != 50; ++i) {
    memory.stopped({i, 100 + i});
    EXPECT_TRUE(memory.may_run(memory.stranger())) << memory.stranger();
  }
}

}  // namespace
}  // namespace troupe
