#include "actors/supervision/supervisor_flags.hpp"

#include <gmock/gmock.h>
#include <caf/actor_system.hpp>

#include <limits>

namespace troupe {
namespace {

using namespace std::chrono_literals;

caf::actor nothing(caf::actor_system&) {
  return {};
}

child_spec good() {
  child_spec spec;
  spec.id = "a";
  spec.start = nothing;
  return spec;
}

/// The field that a specification is refused for.
std::string cause(const child_spec& spec) {
  const auto valid = validate(spec);
  if (valid)
    return "valid";
  EXPECT_EQ(valid.error().code, status_code::invalid_argument);
  EXPECT_FALSE(valid.error().remedy.empty());
  return valid.error().cause;
}

template <class Change>
std::string flag_cause(Change change) {
  supervisor_flags flags;
  flags.name = "s";
  change(flags);
  const auto valid = validate(flags);
  if (valid)
    return "valid";
  EXPECT_EQ(valid.error().code, status_code::invalid_argument);
  return valid.error().cause;
}

struct supervisor_rules_values : testing::Test {};

TEST_F(supervisor_rules_values, SV_1_a_child_has_defaults) {
  auto spec = good();
  EXPECT_EQ(spec.restart, restart_type::permanent);
  EXPECT_EQ(spec.type, child_type::worker);
  EXPECT_FALSE(spec.significant);
  EXPECT_EQ(spec.shutdown_or_default(), shutdown_time{5s});
  spec.type = child_type::supervisor;
  EXPECT_TRUE(spec.shutdown_or_default().is_infinite());
  spec.shutdown = 3s;
  EXPECT_EQ(spec.shutdown_or_default(), shutdown_time{3s});
  EXPECT_TRUE(shutdown_time{std::chrono::hours::max()}.is_infinite());
  EXPECT_NE(shutdown_time::brutal(), shutdown_time{0ms});
}

TEST_F(supervisor_rules_values, SV_2_each_bad_field_has_its_own_error) {
  EXPECT_EQ(cause(good()), "valid");
  auto spec = good();
  spec.id.clear();
  EXPECT_EQ(cause(spec), "child '': id is empty");
  spec = good();
  spec.start = {};
  EXPECT_EQ(cause(spec), "child 'a': start is missing");
  spec.start = std::function<caf::actor(caf::actor_system&)>{};
  EXPECT_EQ(cause(spec), "child 'a': start is missing");
  spec = good();
  spec.restart = static_cast<restart_type>(7);
  EXPECT_EQ(cause(spec), "child 'a': restart is 7");
  spec = good();
  spec.type = static_cast<child_type>(9);
  EXPECT_EQ(cause(spec), "child 'a': type is 9");
  spec = good();
  spec.shutdown = -1ms;
  EXPECT_EQ(cause(spec), "child 'a': shutdown is -1 ms");
  spec.shutdown = std::chrono::hours{24 * 36500};
  EXPECT_EQ(cause(spec), "child 'a': shutdown is 3153600000000 ms");
  spec = good();
  spec.start_within = 0ms;
  EXPECT_EQ(cause(spec), "child 'a': start_within is 0 ms");
}

TEST_F(supervisor_rules_values, SV_2_zero_brutal_and_infinite_are_valid_shutdowns) {
  auto spec = good();
  for (const auto& time : {shutdown_time{0ms}, shutdown_time::brutal(), shutdown_time::infinite()}) {
    spec.shutdown = time;
    EXPECT_EQ(cause(spec), "valid") << to_string(time);
  }
}

TEST_F(supervisor_rules_values, SV_2_two_children_of_one_id_are_refused) {
  const auto valid = validate({}, std::vector<child_spec>{good(), good()});
  ASSERT_FALSE(valid);
  EXPECT_EQ(valid.error().code, status_code::already_exists);
}

TEST_F(supervisor_rules_values, SV_3_flags_have_defaults) {
  const supervisor_flags flags;
  EXPECT_EQ(flags.strategy, restart_strategy::one_for_one);
  EXPECT_EQ(flags.intensity, 1);
  EXPECT_EQ(flags.period, 5s);
  EXPECT_EQ(flags.when_done, auto_shutdown::never);
  EXPECT_FALSE(flags.backoff.enabled());
  EXPECT_TRUE(validate(flags));
}

TEST_F(supervisor_rules_values, SV_3_each_bad_flag_has_its_own_error) {
  using flags = supervisor_flags;
  EXPECT_EQ(flag_cause([](flags& f) { f.strategy = static_cast<restart_strategy>(4); }),
            "supervisor 's': strategy is 4");
  EXPECT_EQ(flag_cause([](flags& f) { f.intensity = -1; }), "supervisor 's': intensity is -1");
  EXPECT_EQ(flag_cause([](flags& f) { f.intensity = std::numeric_limits<std::int64_t>::max(); }),
            "supervisor 's': intensity is 9223372036854775807");
  EXPECT_EQ(flag_cause([](flags& f) { f.intensity = 0; }), "valid");
  EXPECT_EQ(flag_cause([](flags& f) { f.period = 0ms; }), "supervisor 's': period is 0 ms");
  EXPECT_EQ(flag_cause([](flags& f) { f.period = -5ms; }), "supervisor 's': period is -5 ms");
  EXPECT_EQ(flag_cause([](flags& f) { f.period = std::chrono::milliseconds::max(); }),
            "supervisor 's': period is 9223372036854775807 ms");
  EXPECT_EQ(flag_cause([](flags& f) { f.when_done = static_cast<auto_shutdown>(3); }),
            "supervisor 's': when_done is 3");
  EXPECT_EQ(flag_cause([](flags& f) { f.kill_grace = 0ms; }), "supervisor 's': kill_grace is 0 ms");
}

TEST_F(supervisor_rules_values, SV_3_a_bad_back_off_is_refused) {
  using flags = supervisor_flags;
  const auto nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(flag_cause([](flags& f) { f.backoff.first = -1ms; }), "supervisor 's': backoff.first is -1 ms");
  EXPECT_EQ(flag_cause([](flags& f) { f.backoff = {2s, 1s, 2, 0}; }), "supervisor 's': backoff.most is 1000 ms");
  EXPECT_EQ(flag_cause([](flags& f) { f.backoff.factor = 0.5; }), "supervisor 's': backoff.factor is 0.500000");
  EXPECT_EQ(flag_cause([=](flags& f) { f.backoff.factor = nan; }), "supervisor 's': backoff.factor is nan");
  EXPECT_EQ(flag_cause([=](flags& f) { f.backoff.jitter = nan; }), "supervisor 's': backoff.jitter is nan");
  EXPECT_EQ(flag_cause([](flags& f) { f.backoff.jitter = 1.1; }), "supervisor 's': backoff.jitter is 1.100000");
}

TEST_F(supervisor_rules_values, SV_4_significant_needs_a_child_that_ends_and_a_supervisor_that_cares) {
  auto spec = good();
  spec.significant = true;
  EXPECT_EQ(cause(spec), "child 'a': significant is true");
  spec.restart = restart_type::transient;
  supervisor_flags flags;
  EXPECT_FALSE(validate(flags, spec));
  EXPECT_THAT(validate(flags, spec).error().cause, testing::HasSubstr("when_done"));
  flags.when_done = auto_shutdown::any_significant;
  EXPECT_TRUE(validate(flags, spec));
  spec.restart = restart_type::temporary;
  EXPECT_TRUE(validate(flags, spec));
}

TEST_F(supervisor_rules_values, SV_60_a_dynamic_supervisor_has_one_template) {
  supervisor_flags flags;
  flags.strategy = restart_strategy::dynamic;
  auto other = good();
  other.id = "b";
  EXPECT_TRUE(validate(flags, std::vector{good()}));
  EXPECT_FALSE(validate(flags, std::vector<child_spec>{}));
  EXPECT_FALSE(validate(flags, std::vector{good(), other}));
}

}  // namespace
}  // namespace troupe
