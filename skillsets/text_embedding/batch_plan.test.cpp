#include "skillsets/text_embedding/batch_plan.hpp"

#include <gmock/gmock.h>

#include <random>

namespace troupe {
namespace {

using lengths = std::vector<std::size_t>;
using testing::ElementsAre;
using testing::UnorderedElementsAre;

TEST(batch_plan, nothing_needs_no_batch) {
  EXPECT_TRUE(plan_batches({}, 1024).empty());
}

TEST(batch_plan, equal_lengths_fill_the_budget) {
  const auto batches = plan_batches(lengths(20, 100), 1024);
  ASSERT_EQ(batches.size(), 2u);
  EXPECT_EQ(batches[0].texts.size(), 10u);
  EXPECT_EQ(batches[1].texts.size(), 10u);
}

TEST(batch_plan, a_long_text_does_not_pad_the_short_ones) {
  const auto batches = plan_batches(lengths{12, 12, 12, 200, 12, 12, 12, 12}, 1024 * 4);
  ASSERT_EQ(batches.size(), 2u);
  EXPECT_THAT(batches[0].texts, ElementsAre(3));
  EXPECT_EQ(batches[0].length, 200u);
  EXPECT_THAT(batches[1].texts, UnorderedElementsAre(0, 1, 2, 4, 5, 6, 7));
}

TEST(batch_plan, short_texts_go_together_though_they_differ) {
  EXPECT_EQ(plan_batches(lengths{2, 12, 5, 8}, 1024).size(), 1u);
}

TEST(batch_plan, a_text_above_the_budget_runs_alone) {
  const auto batches = plan_batches(lengths{500, 2000, 500}, 1000);
  ASSERT_EQ(batches.size(), 2u);
  EXPECT_THAT(batches[0].texts, ElementsAre(1));
  EXPECT_THAT(batches[1].texts, ElementsAre(0, 2));
}

TEST(batch_plan, every_text_runs_once_within_the_bounds) {
  std::mt19937 random{7};
  for (int round = 0; round != 50; ++round) {
    lengths all(random() % 300);
    for (auto& length : all)
      length = 1 + random() % 256;
    lengths seen(all.size());
    for (const auto& batch : plan_batches(all, 1024)) {
      std::size_t real = 0;
      for (const auto text : batch.texts) {
        ++seen[text];
        real += all[text];
        EXPECT_LE(all[text], batch.length);
      }
      const auto padded = batch.length * batch.texts.size();
      EXPECT_LE(padded, 1024u);
      EXPECT_LE(padded - real, 16 + real / 4);
    }
    EXPECT_THAT(seen, testing::Each(1u));
  }
}

}  // namespace
}  // namespace troupe
