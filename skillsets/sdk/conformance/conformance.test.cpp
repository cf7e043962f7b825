#include "skillsets/sdk/conformance/conformance.hpp"

#include "skillsets/sdk/testing.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <functional>
#include <list>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

namespace troupe::conformance {
namespace {

using testing::HasSubstr;
using testing_support::counting_skillset;

/// Doubles numbers, or breaks one point of the contract, as the test says.
class doubling final : public skillset {
 public:
  std::string_view name() const override { return title; }
  std::string_view platform() const override { return "test"; }
  std::vector<option_spec> options() const override { return known; }
  expected<std::unique_ptr<loaded_model>> load(const model_settings& settings, const cancel_token& token) override {
    if (auto can = on_load(settings, token); !can)
      return can.error();
    return std::unique_ptr<loaded_model>{std::make_unique<model>(*this)};
  }

  std::string title = "doubling";
  std::vector<option_spec> known{{"scale", 2.0, {}, 1, 4}};
  signature what{{{"x", datatype::fp32, {-1}}}, {{"y", datatype::fp32, {-1}}}, true};
  std::int64_t most_items = 16;
  std::function<expected<void>(const model_settings&, const cancel_token&)> on_load = [](auto&, auto&) {
    return expected<void>{};
  };
  /// Called for every request of a batch; an error is the request's.
  std::function<expected<void>(inference_response&, std::size_t batch, const cancel_token&)> on_item =
      [](auto&, auto, auto&) { return expected<void>{}; };
  std::function<expected<void>(std::span<work_item* const>)> on_batch = [](auto) { return expected<void>{}; };

 private:
  struct worker final : instance {
    explicit worker(doubling& of) : owner(of) {}
    expected<void> run(std::span<work_item* const> batch, const cancel_token& token) override {
      if (auto can = owner.on_batch(batch); !can)
        return can;
      for (auto* item : batch) {
        if (token.cancelled())
          return token.reason();
        inference_response response{{twice(item->request().inputs.front())}, {}};
        const auto fine = owner.on_item(response, batch.size(), token);
        if (!fine)
          item->respond(fine.error());
        else
          item->respond(std::move(response));
      }
      return {};
    }
    static tensor twice(const tensor& of) {
      std::vector<float> values(of.data.size() / sizeof(float));
      if (!values.empty())
        std::memcpy(values.data(), of.data.bytes().data(), of.data.size());
      for (auto& value : values)
        value *= 2;
      return {"y", datatype::fp32, of.shape, buffer::take(std::move(values))};
    }
    doubling& owner;
  };

  struct model final : loaded_model {
    explicit model(doubling& of) : owner(of) {}
    const signature& describe() const override { return owner.what; }
    expected<std::unique_ptr<instance>> make_instance() override {
      return std::unique_ptr<instance>{std::make_unique<worker>(owner)};
    }
    inference_request warm_up() const override {
      return {{tensor{"x", datatype::fp32, {2}, buffer::take(std::vector<float>{1, 2})}}, {}};
    }
    batch_policy batching() const override { return {{.items = owner.most_items}}; }
    doubling& owner;
  };
};

options little() {
  options how;
  how.seed = 7;
  how.random_inputs = 300;
  how.cycles = 40;
  how.cancellations = 20;
  how.cancel_grace = std::chrono::seconds{1};
  how.patience = std::chrono::milliseconds{5};
  return how;
}

struct conformance_test : testing::Test {
  std::vector<result> run_all(skillset& whose, options how = little()) {
    subject whom{whose, settings, std::move(how)};
    std::vector<result> results;
    for (const auto& each : all_checks())
      results.push_back(run(each, whom));
    return results;
  }

  /// The one check of that name.
  finding find(std::string_view name, options how = little()) {
    subject whom{skills, settings, std::move(how)};
    for (const auto& each : all_checks())
      if (each.name == name)
        return run(each, whom).found;
    return failed("there is no such check");
  }

  /// Why it is failed.
  std::string fault(std::string_view name, options how = little()) {
    const auto found = find(name, std::move(how));
    EXPECT_EQ(found.what, verdict::failed) << name << ": " << found.measured << found.reason;
    return found.reason;
  }

  doubling skills;
  model_settings settings;
};

TEST_F(conformance_test, what_keeps_the_contract_passes) {
  const auto results = run_all(skills);
  EXPECT_TRUE(all_passed(results)) << to_text(results);
  EXPECT_THAT(to_text(results), HasSubstr("12 passed, 0 failed, 2 skipped")) << "no files, and no steps";
  EXPECT_THAT(to_json(results), HasSubstr("\"passed\": true"));
}

TEST_F(conformance_test, so_does_one_that_works_step_by_step) {
  counting_skillset counting;
  const auto results = run_all(counting);
  EXPECT_TRUE(all_passed(results)) << to_text(results);
  EXPECT_THAT(to_text(results), HasSubstr("passed   keeps_requests_apart     100 requests, 2 at once"));
}

TEST_F(conformance_test, sees_a_description_that_cannot_be) {
  skills.title = "";
  EXPECT_THAT(fault("describes_itself"), HasSubstr("no name"));
  skills.title = "doubling";
  skills.known = {{"scale", 7.0, {}, 1, 4}};
  EXPECT_EQ(fault("describes_itself"), "the default of option 'scale' is out of its range");
  skills.known = {{"mode", std::string{"c"}, {"a", "b"}}};
  EXPECT_EQ(fault("describes_itself"), "the default of option 'mode' is none of its choices");
  skills.known = {{"a", true, {}}, {"a", true, {}}};
  EXPECT_EQ(fault("describes_itself"), "option 'a' is there twice");
  skills.what.inputs.front().shape = {2};
  EXPECT_THAT(fault("loads_and_warms_up"), HasSubstr("needs a first axis of -1"));
}

TEST_F(conformance_test, sees_answers_that_are_not_what_the_signature_says) {
  skills.on_item = [](inference_response& response, auto, auto&) {
    response.outputs.front().name = "z";
    return expected<void>{};
  };
  EXPECT_THAT(fault("answers_as_it_says"), HasSubstr("stands where 'y' should"));
  skills.on_item = [](inference_response& response, auto, auto&) {
    response.outputs.front() = {"y", datatype::fp32, {1}, buffer::take(std::vector<float>{1})};
    return expected<void>{};
  };
  EXPECT_THAT(fault("answers_as_it_says"), HasSubstr("has shape [1] for 2 items"));
}

TEST_F(conformance_test, sees_that_company_changes_an_answer) {
  skills.on_item = [](inference_response& response, std::size_t batch, auto&) {
    if (batch > 1)
      response.outputs.front().data = buffer::take(std::vector<float>{9, 9});
    return expected<void>{};
  };
  EXPECT_THAT(fault("batch_equals_singles"), HasSubstr("in a batch of 8 elements of output 'y' are up to"));
}

TEST_F(conformance_test, sees_a_request_that_a_batch_forgets) {
  skills.on_batch = [](std::span<work_item* const> batch) -> expected<void> {
    if (batch.size() == 1)
      return {};
    throw std::runtime_error{"too many"};
  };
  EXPECT_EQ(fault("batch_equals_singles"), "a batch of 8 fails: the skillset failed: too many");
}

TEST_F(conformance_test, sees_an_answer_that_depends_on_what_came_before) {
  skills.on_item = [calls = 0](inference_response& response, auto, auto&) mutable {
    response.outputs.front().data = buffer::take(std::vector<float>{static_cast<float>(++calls), 0});
    return expected<void>{};
  };
  EXPECT_THAT(fault("is_deterministic"), HasSubstr("asked again"));
  auto how = little();
  how.deterministic = false;
  EXPECT_EQ(find("is_deterministic", how).what, verdict::skipped);
}

TEST_F(conformance_test, sees_work_that_ignores_its_cancellation) {
  skills.on_batch = [](auto) {
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
    return expected<void>{};
  };
  auto how = little();
  how.cancel_grace = std::chrono::milliseconds{1};
  EXPECT_THAT(fault("stops_when_cancelled", how), HasSubstr("work went on for more than 1 ms"));
  EXPECT_THAT(fault("stops_at_the_deadline", how), HasSubstr("work went on"));
}

TEST_F(conformance_test, sees_that_stopped_work_spoils_what_comes_next) {
  skills.on_item = [spoilt = false](inference_response& response, auto, const cancel_token& token) mutable {
    for (int i = 0; i != 50 && !token.cancelled(); ++i)
      std::this_thread::sleep_for(std::chrono::microseconds{100});
    spoilt = spoilt || token.cancelled();
    if (spoilt)
      response.outputs.front().data = buffer::take(std::vector<float>{5, 5});
    return expected<void>{};
  };
  EXPECT_THAT(fault("stops_when_cancelled"), HasSubstr("after work was stopped"));
}

TEST_F(conformance_test, sees_a_load_that_goes_on) {
  skills.on_load = [](auto&, const cancel_token& token) -> expected<void> {
    if (token.cancelled())
      return make_error(status_code::internal, "what now");
    std::this_thread::sleep_for(std::chrono::milliseconds{5});
    return token.cancelled() ? expected<void>{make_error(status_code::internal, "what now")} : expected<void>{};
  };
  EXPECT_EQ(fault("stops_loading"), "a cancelled load ends with what now");
}

TEST_F(conformance_test, sees_an_option_that_does_not_hold_its_range) {
  skills.on_load = [](const model_settings& given, auto&) -> expected<void> {
    if (given.options.contains("scale") && std::get<double>(given.options.at("scale")) == 4)
      throw std::out_of_range{"scale"};
    return {};
  };
  EXPECT_THAT(fault("takes_its_options"), HasSubstr("load threw: scale"));
}

TEST_F(conformance_test, sees_files_that_nobody_looks_into) {
  settings.files["weights"] = "/proc/self/exe";
  EXPECT_EQ(fault("refuses_broken_files"), "it loads although its weights is not what it should be");
}

TEST_F(conformance_test, sees_an_exception_for_an_odd_input) {
  skills.on_item = [](inference_response& response, auto, auto&) -> expected<void> {
    const auto bytes = response.outputs.front().data.bytes();
    for (std::size_t i = 0; i + sizeof(float) <= bytes.size(); i += sizeof(float)) {
      float value = 0;
      std::memcpy(&value, bytes.data() + i, sizeof value);
      if (std::isnan(value))
        throw std::domain_error{"not a number"};
    }
    return {};
  };
  EXPECT_THAT(fault("survives_random_inputs"), HasSubstr("is no fault of the client's by its answer"));
  EXPECT_THAT(fault("survives_random_inputs"), HasSubstr("not a number"));
}

TEST_F(conformance_test, sees_what_a_load_leaves_behind) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's allocator doesn't say what is in use";
#endif
  std::list<std::vector<char>> kept;
  skills.on_load = [&](auto&, auto&) {
    kept.emplace_back(64 << 10, 'x');
    return expected<void>{};
  };
  EXPECT_THAT(fault("gives_everything_back"), HasSubstr("each load leaves something behind"));
}

TEST_F(conformance_test, the_same_seed_is_the_same_trial) {
  subject a{skills, settings, little()}, b{skills, settings, little()};
  ASSERT_TRUE(a.worker());
  ASSERT_TRUE(b.worker());
  for (int i = 0; i != 100; ++i) {
    const auto one = a.make_random_request(), other = b.make_random_request();
    ASSERT_EQ(one.inputs.front().shape, other.inputs.front().shape);
    ASSERT_EQ(one.inputs.front().data.view(), other.inputs.front().data.view());
  }
}

}  // namespace
}  // namespace troupe::conformance
