#include "actors/concurrency/gate.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace troupe {
namespace {

TEST(gate, closed_when_empty_tells_at_once) {
  gate g;
  int told = 0;
  g.close([&] { ++told; });
  EXPECT_EQ(told, 1);
  EXPECT_FALSE(g.enter());
  EXPECT_EQ(told, 1);
}

TEST(gate, tells_when_the_last_one_is_out) {
  gate g;
  int told = 0;
  EXPECT_TRUE(g.enter());
  EXPECT_TRUE(g.enter());
  EXPECT_EQ(g.count(), 2u);
  g.close([&] { ++told; });
  EXPECT_FALSE(g.enter());
  g.leave();
  EXPECT_EQ(told, 0);
  g.leave();
  EXPECT_EQ(told, 1);
  EXPECT_EQ(g.count(), 0u);
}

TEST(gate, stress_tells_once_and_only_after_everybody_left) {
  for (int round = 0; round != 300; ++round) {
    gate g;
    std::atomic<int> inside = 0, told = 0, early = 0;
    {
      std::vector<std::jthread> visitors;
      for (int i = 0; i != 3; ++i)
        visitors.emplace_back([&] {
          while (g.enter()) {
            ++inside;
            --inside;
            g.leave();
          }
        });
      visitors.emplace_back([&] {
        g.close([&] {
          early += inside;
          ++told;
        });
      });
    }
    EXPECT_EQ(told, 1);
    EXPECT_EQ(early, 0);
  }
}

}  // namespace
}  // namespace troupe
