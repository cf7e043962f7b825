#include "actors/supervision/caf_error.hpp"
#include "actors/supervision/due_times.hpp"
#include "actors/supervision/restart_backoff.hpp"
#include "actors/supervision/restart_intensity.hpp"
#include "actors/supervision/supervisor_report.hpp"

#include <gmock/gmock.h>

namespace troupe {
namespace {

using namespace std::chrono_literals;
using time_point = std::chrono::steady_clock::time_point;

TEST(restart_intensity, allows_as_many_as_it_says_within_the_period) {
  restart_intensity restarts;
  const auto begin = time_point{} + 1h;
  EXPECT_FALSE(restarts.add(begin, 2, 5s));
  EXPECT_FALSE(restarts.add(begin, 2, 5s));
  EXPECT_TRUE(restarts.add(begin + 5s, 2, 5s));
}

TEST(restart_intensity, zero_allows_none) {
  restart_intensity restarts;
  EXPECT_TRUE(restarts.add(time_point{}, 0, 5s));
}

TEST(restart_intensity, forgets_what_is_older_than_the_period) {
  restart_intensity restarts;
  for (int i = 0; i != 1000; ++i)
    EXPECT_FALSE(restarts.add(time_point{} + i * 5001ms, 1, 5s));
}

TEST(restart_intensity, follows_a_change_of_the_limits) {
  restart_intensity restarts;
  for (int i = 0; i != 5; ++i)
    EXPECT_FALSE(restarts.add(time_point{}, 10, 5s));
  EXPECT_TRUE(restarts.add(time_point{}, 2, 5s));
  EXPECT_FALSE(restarts.add(time_point{} + 6s, 2, 5s));
}

TEST(restart_backoff, grows_to_its_limit) {
  const restart_backoff backoff{100ms, 1s, 2, 0};
  EXPECT_EQ(delay_of(backoff, 1, 0), 100ms);
  EXPECT_EQ(delay_of(backoff, 2, 0.9), 200ms);
  EXPECT_EQ(delay_of(backoff, 4, 0), 800ms);
  EXPECT_EQ(delay_of(backoff, 5, 0), 1s);
  EXPECT_EQ(delay_of(backoff, ~std::uint64_t{0}, 0), 1s) << "no overflow";
}

TEST(restart_backoff, is_shortened_by_chance) {
  const restart_backoff backoff{100ms, 1s, 2, 0.5};
  EXPECT_EQ(delay_of(backoff, 1, 0), 100ms);
  EXPECT_EQ(delay_of(backoff, 1, 0.5), 75ms);
  EXPECT_EQ(delay_of(backoff, 1, 0.999999), 50ms);
}

TEST(restart_backoff, lets_the_first_come_at_once) {
  const restart_backoff backoff{100ms, 1s, 2, 0, 2};
  EXPECT_EQ(delay_of(backoff, 1, 0), 0ms);
  EXPECT_EQ(delay_of(backoff, 2, 0), 0ms);
  EXPECT_EQ(delay_of(backoff, 3, 0), 100ms);
  EXPECT_EQ(delay_of(backoff, 4, 0), 200ms);
  EXPECT_EQ(delay_of(backoff, ~std::uint64_t{0}, 0), 1s);
}

TEST(restart_backoff, is_off_by_default) {
  EXPECT_EQ(delay_of({}, 10, 0), 0ms);
}

TEST(caf_errors, carry_everything) {
  auto e = make_error(status_code::cancelled, "no longer wanted", "ask again");
  e.cancellation = true;
  EXPECT_EQ(from_caf(to_caf(e)), e);
  EXPECT_EQ(from_caf(shutdown_because(e, "a")), e);
  EXPECT_EQ(failed_child(shutdown_because(e, "a")), "a");
  EXPECT_TRUE(is_shutdown(shutdown_because(make_error(status_code::ok, ""))));
  EXPECT_FALSE(is_shutdown(to_caf(e)));
}

TEST(due_times, come_in_order_and_can_be_moved_and_taken_back) {
  due_times due;
  const auto at = [](int s) { return time_point{} + std::chrono::seconds{s}; };
  EXPECT_FALSE(due.next());
  due.set(1, at(3));
  due.set(2, at(2));
  due.set(3, at(2));
  due.set(1, at(1));
  due.clear(3);
  EXPECT_EQ(due.next(), at(1));
  EXPECT_FALSE(due.pop(at(0)));
  EXPECT_EQ(due.pop(at(9)), 1u);
  EXPECT_EQ(due.pop(at(9)), 2u);
  EXPECT_FALSE(due.pop(at(9)));
}

supervisor_report report() {
  return {"top",
          report_context::child_terminated,
          make_error(status_code::internal, "bad\nluck", "look"),
          "a",
          42,
          restart_type::transient,
          7s,
          child_type::worker};
}

TEST(supervisor_rules_reports, SV_80_have_a_form_of_one_line) {
  EXPECT_EQ(to_string(report()),
            "supervisor=top context=child_terminated child=a instance=42 restart=transient shutdown=7000 type=worker "
            "reason=INTERNAL: bad luck; look");
}

TEST(supervisor_rules_reports, SV_80_are_bounded) {
  auto big = report();
  big.supervisor = big.child = big.reason.cause = big.reason.remedy = std::string(1'000'000, 'x');
  EXPECT_LT(to_string(big).size(), 3000u);
  std::size_t size = 0;
  publish(big, [&](const supervisor_report& r) {
    size = r.supervisor.size() + r.child.size() + r.reason.cause.size() + r.reason.remedy.size();
  });
  EXPECT_GT(size, 0u);
  EXPECT_LE(size, 4 * (longest_report_text + 3));
}

TEST(supervisor_rules_reports, SV_80_a_sink_that_throws_harms_nobody) {
  publish(report(), [](const supervisor_report&) { throw std::runtime_error{"full"}; });
  publish(report(), [](const supervisor_report&) { throw 42; });
}

}  // namespace
}  // namespace troupe
