#include "apps/troupe/tune.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace troupe::cli {
namespace {

TEST(tunings, use_no_more_slots_than_there_are) {
  for (const std::int64_t slots : {1, 2, 3, 8})
    for (const auto& each : tunings_to_try(slots, 4, 32))
      EXPECT_LE(each.instances * each.threads, slots);
}

TEST(tunings, have_every_way_to_share_them_out) {
  const auto all = tunings_to_try(2, 1, 32);
  EXPECT_EQ(all, (std::vector<tuning>{{1, 1, 1, 0}, {2, 1, 1, 0}, {1, 2, 1, 0}}));
}

TEST(tunings, have_batches_that_can_be_filled) {
  const auto most = [](std::int64_t most_batch, int in_flight) {
    const auto all = tunings_to_try(1, most_batch, in_flight);
    return std::max_element(all.begin(), all.end(), [](auto& a, auto& b) { return a.max_batch < b.max_batch; })
        ->max_batch;
  };
  EXPECT_EQ(most(64, 32), 32);
  EXPECT_EQ(most(64, 1), 1);
  EXPECT_EQ(most(6, 32), 4);
  EXPECT_EQ(most(1, 32), 1);
}

}  // namespace
}  // namespace troupe::cli
