#include "skillsets/text_generation/sequence_cache.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

namespace troupe {
namespace {

using tokens = std::vector<std::int32_t>;

/// Remembers only how many tokens there are in each sequence.
struct counting_memory final : cache_memory {
  void copy(std::int32_t from, std::int32_t to, std::size_t count) override {
    EXPECT_EQ(sizes[to], 0u);
    EXPECT_LE(count, sizes[from]);
    sizes[to] = count;
  }
  void truncate(std::int32_t sequence, std::size_t count) override {
    sizes[sequence] = std::min(sizes[sequence], count);
  }
  std::map<std::int32_t, std::size_t> sizes;
};

tokens counting(int from, int to) {
  tokens result;
  for (int i = from; i != to; ++i)
    result.push_back(i);
  return result;
}

struct sequence_cache_test : testing::Test {
  std::int32_t compute(sequence_cache& cache, const tokens& text) {
    const auto [sequence, reused] = cache.open(text);
    cache.append(sequence, std::span{text}.subspan(reused));
    memory.sizes[sequence] = text.size();
    last_reused = reused;
    return sequence;
  }

  counting_memory memory;
  std::size_t last_reused = 0;
};

TEST_F(sequence_cache_test, shares_the_longest_beginning) {
  sequence_cache cache{memory, 4, 4, true, 4};
  const auto first = compute(cache, counting(0, 20));
  auto other = counting(0, 12);
  other.push_back(99);
  compute(cache, other);
  EXPECT_EQ(last_reused, 12u) << "of one that is still in use";
  cache.keep(first);
  compute(cache, counting(0, 30));
  EXPECT_EQ(last_reused, 20u);
}

TEST_F(sequence_cache_test, leaves_one_token_to_compute) {
  sequence_cache cache{memory, 4, 4, true, 4};
  compute(cache, counting(0, 20));
  compute(cache, counting(0, 20));
  EXPECT_EQ(last_reused, 19u);
}

TEST_F(sequence_cache_test, passes_over_what_is_not_worth_it) {
  sequence_cache cache{memory, 4, 4, true, 8};
  compute(cache, counting(0, 20));
  compute(cache, counting(0, 7));
  EXPECT_EQ(last_reused, 0u);
}

TEST_F(sequence_cache_test, without_sharing_goes_on_where_a_text_ended) {
  sequence_cache cache{memory, 2, 2, false, 4};
  const auto first = compute(cache, counting(0, 20));
  compute(cache, counting(0, 25));
  EXPECT_EQ(last_reused, 0u) << "it is in use";
  cache.keep(first);
  EXPECT_EQ(compute(cache, counting(0, 30)), first);
  EXPECT_EQ(last_reused, 20u);
}

TEST_F(sequence_cache_test, forgets_who_was_kept_longest_unused) {
  sequence_cache cache{memory, 3, 3, true, 4};
  cache.keep(compute(cache, counting(0, 10)));
  cache.keep(compute(cache, counting(100, 110)));
  cache.keep(compute(cache, counting(200, 210)));
  cache.drop(compute(cache, counting(0, 9)));
  EXPECT_EQ(last_reused, 8u);
  EXPECT_EQ(cache.shared(counting(100, 111)), 0u) << "it had to make room";
  EXPECT_EQ(cache.shared(counting(0, 11)), 10u);
  EXPECT_TRUE(cache.forget_oldest());
  EXPECT_EQ(cache.shared(counting(200, 211)), 0u);
  EXPECT_TRUE(cache.forget_oldest());
  EXPECT_FALSE(cache.forget_oldest());
}

TEST_F(sequence_cache_test, keeps_no_more_than_it_may) {
  sequence_cache cache{memory, 4, 1, true, 4};
  cache.keep(compute(cache, counting(0, 10)));
  cache.keep(compute(cache, counting(100, 110)));
  EXPECT_EQ(cache.shared(counting(0, 11)), 0u);
  EXPECT_EQ(cache.shared(counting(100, 111)), 10u);
  EXPECT_EQ(memory.sizes[0], 0u) << "its room is free";
}

TEST_F(sequence_cache_test, keeps_no_text_that_is_all_in_another) {
  sequence_cache cache{memory, 4, 4, true, 4};
  cache.keep(compute(cache, counting(0, 10)));
  cache.keep(compute(cache, counting(0, 20)));
  EXPECT_EQ(cache.kept(), 1u);
}

TEST_F(sequence_cache_test, says_what_is_there_whatever_comes) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random{seed};
  for (const bool sharing : {true, false}) {
    memory.sizes.clear();
    sequence_cache cache{memory, 6, 6, sharing, 2};
    std::map<std::int32_t, tokens> used;
    for (int round = 0; round != 5000; ++round) {
      if (used.size() < 4 && random() % 2) {
        tokens text;
        for (std::size_t i = 0, n = 1 + random() % 12; i != n; ++i)
          text.push_back(static_cast<std::int32_t>(random() % 2));
        const auto found = cache.shared(text);
        const auto sequence = compute(cache, text);
        ASSERT_FALSE(used.contains(sequence));
        ASSERT_EQ(last_reused, found);
        ASSERT_LT(last_reused, text.size());
        used[sequence] = text;
      } else if (!used.empty()) {
        const auto one = std::next(used.begin(), static_cast<std::ptrdiff_t>(random() % used.size()))->first;
        random() % 2 ? cache.keep(one) : cache.drop(one);
        used.erase(one);
      }
      for (const auto& [sequence, text] : used)
        ASSERT_EQ(cache.size(sequence), text.size());
      ASSERT_LE(cache.kept() + used.size(), 6u);
    }
  }
}

}  // namespace
}  // namespace troupe
