#include "skillsets/identity/identity.hpp"
#include "skillsets/sdk/testing.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace troupe {
namespace {

using namespace std::chrono_literals;

struct identity : testing::Test {
  identity() {
    model_settings settings;
    settings.name = "identity";
    settings.options = {{"datatype", std::string{"ANY"}}};
    model = *skills->load(settings, {});
    worker = *model->make_instance();
  }

  expected<inference_response> run(parameter_map parameters, const cancel_token& token = {}) {
    return testing_support::respond(
        *worker,
        {{tensor{"input", datatype::fp32, {2}, buffer::take(std::vector<float>{1, 2})}}, std::move(parameters)}, token);
  }

  std::unique_ptr<skillset> skills = make_identity_skillset();
  std::unique_ptr<loaded_model> model;
  std::unique_ptr<instance> worker;
};

TEST_F(identity, answers_with_the_same_bytes) {
  const auto response = run({});
  ASSERT_TRUE(response);
  ASSERT_EQ(response->outputs.size(), 1u);
  const auto& output = response->outputs.front();
  EXPECT_EQ(output.name, "output");
  EXPECT_EQ(output.type, datatype::fp32);
  EXPECT_EQ(output.shape, (std::vector<std::int64_t>{2}));
  EXPECT_EQ(output.data.size(), 8u);
}

TEST_F(identity, answers_its_own_warm_up) {
  EXPECT_TRUE(testing_support::respond(*worker, model->warm_up(), {}));
}

TEST_F(identity, is_immediate_unless_it_waits) {
  EXPECT_TRUE(worker->immediate({}));
  EXPECT_FALSE(worker->immediate({{}, {{"delay_ms", std::int64_t{0}}}}));
}

TEST_F(identity, waits_as_long_as_it_is_told) {
  const auto start = steady_clock::now();
  ASSERT_TRUE(run({{"delay_ms", std::int64_t{20}}}));
  EXPECT_GE(steady_clock::now() - start, 20ms);
}

TEST_F(identity, a_cancelled_wait_ends_at_once_with_the_reason) {
  cancel_scope scope;
  std::jthread canceller{[&] {
    std::this_thread::sleep_for(10ms);
    scope.cancel(make_error(status_code::unavailable, "shutting down"));
  }};
  const auto response = run({{"delay_ms", std::int64_t{600'000}}}, scope.token());
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, status_code::unavailable);
}

TEST_F(identity, a_wait_ends_at_the_deadline) {
  const cancel_scope scope{steady_clock::now() + 10ms};
  const auto response = run({{"delay_ms", std::int64_t{600'000}}}, scope.token());
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, status_code::deadline_exceeded);
}

TEST_F(identity, refuses_delays_that_make_no_sense) {
  for (const parameter& bad :
       {parameter{std::int64_t{-1}}, parameter{std::int64_t{600'001}}, parameter{~std::uint64_t{0}}, parameter{1.5},
        parameter{true}, parameter{std::string{"10"}}}) {
    const auto response = run({{"delay_ms", bad}});
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().code, status_code::invalid_argument);
  }
}

}  // namespace
}  // namespace troupe
