#include "actors/execution/anticipation.hpp"

#include <gtest/gtest.h>

namespace troupe {
namespace {

using namespace std::chrono_literals;

struct anticipation_test : testing::Test {
  bool waits() const { return now < others.until(); }

  void batch(std::size_t answers, steady_clock::duration took) {
    others.ended(took);
    others.answered(answers, now);
  }

  steady_clock::time_point now{1h};
  anticipation others;
};

TEST_F(anticipation_test, waits_until_all_who_were_answered_have_come) {
  EXPECT_FALSE(waits()) << "nobody was";
  batch(2, 4ms);
  EXPECT_TRUE(waits());
  others.came(now);
  EXPECT_TRUE(waits());
  others.came(now);
  EXPECT_FALSE(waits());
}

TEST_F(anticipation_test, waits_no_longer_than_a_part_of_the_batch_and_never_long) {
  batch(2, 4ms);
  EXPECT_EQ(others.until(), now + 1ms);
  now += 1ms;
  EXPECT_FALSE(waits());
  batch(2, 1h);
  EXPECT_EQ(others.until(), now + 2ms);
  now += 1s;
  batch(2, 399us);
  EXPECT_FALSE(waits()) << "it would be too short to matter";
  batch(0, 4ms);
  EXPECT_FALSE(waits()) << "nobody has an answer";
}

TEST_F(anticipation_test, waits_for_those_of_two_batches_together) {
  batch(1, 4ms);
  now += 500us;
  batch(1, 4ms);
  others.came(now);
  EXPECT_EQ(others.until(), now + 1ms);
  others.came(now);
  EXPECT_FALSE(waits());
}

TEST_F(anticipation_test, gives_up_on_clients_who_ask_once_and_finds_out_when_they_come_again) {
  const auto round = [&](int came) {
    batch(4, 4ms);
    const bool waited = waits();
    for (int i = 0; i != came; ++i)
      others.came(now + 100us);
    now += 10ms;
    return waited;
  };
  int waited = 0;
  for (int i = 0; i != 20; ++i)
    waited += round(0) ? 1 : 0;
  EXPECT_LE(waited, 5);
  EXPECT_FALSE(round(0));
  for (int i = 0; i != 20; ++i)
    round(4);
  EXPECT_TRUE(round(4));
  for (int i = 0; i != 20; ++i)
    round(1);
  EXPECT_FALSE(round(1)) << "most don't";
}

}  // namespace
}  // namespace troupe
