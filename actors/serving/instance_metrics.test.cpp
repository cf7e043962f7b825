#include "actors/serving/instance_metrics.hpp"

#include "actors/serving/testing.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <optional>

namespace troupe {
namespace {

using values = std::vector<double>;
using kind = metric_spec::kind;

/// Measures what the test says.
class measuring final : public instance {
 public:
  expected<void> run(std::span<work_item* const>, const cancel_token&) override { return {}; }
  void measure(std::span<double> to) const noexcept override { std::copy(now.begin(), now.end(), to.begin()); }

  values now;
};

struct instance_metrics_test : testing::Test {
  instance_metrics all{{{"tokens", "Tokens", kind::counter}, {"texts", "Texts", kind::gauge}}};
  measuring a, b;
};

TEST_F(instance_metrics_test, are_summed_over_instances_and_counters_outlive_them) {
  std::optional<instance_metrics::part> first{std::in_place, all}, second{std::in_place, all};
  a.now = {5, 2};
  b.now = {7, 1};
  first->take(a);
  second->take(b);
  EXPECT_EQ(all.read(), (values{12, 3}));
  first.reset();
  EXPECT_EQ(all.read(), (values{12, 1})) << "what it had at once, it has no more";
  first.emplace(all);
  a.now = {1, 4};
  first->take(a);
  EXPECT_EQ(all.read(), (values{13, 5})) << "the next one counts from nothing";
}

TEST_F(instance_metrics_test, what_cannot_be_is_not_believed) {
  instance_metrics::part one{all};
  const auto after = [&](double tokens, double texts) {
    a.now = {tokens, texts};
    one.take(a);
    return all.read();
  };
  EXPECT_EQ(after(5, -1), (values{5, -1})) << "a gauge may be anything";
  EXPECT_EQ(after(4, 0), (values{5, 0})) << "a counter doesn't fall";
  EXPECT_EQ(after(std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()), (values{5, 0}));
  EXPECT_EQ(after(-1, 2), (values{5, 2}));
}

TEST_F(instance_metrics_test, who_says_nothing_has_what_he_had) {
  instance_metrics::part one{all};
  a.now = {5, 2};
  one.take(a);
  a.now = {};
  one.take(a);
  EXPECT_EQ(all.read(), (values{5, 2}));
}

TEST(instance_metrics_of_none, ask_nobody) {
  instance_metrics none{{}};
  instance_metrics::part one{none};
  measuring asked;
  asked.now = {1};  // would be written behind the end
  one.take(asked);
  EXPECT_TRUE(none.read().empty());
}

}  // namespace
}  // namespace troupe
