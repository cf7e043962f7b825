#include "skillsets/triton_examples/triton_examples.hpp"

#include "actors/concurrency/virtual_clock.hpp"
#include "skillsets/sdk/testing.hpp"
#include "skillsets/triton_examples/elements.hpp"
#include "skillsets/triton_examples/tasks.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace troupe {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using triton_examples::elements_of;
using triton_examples::vector_tensor;

struct triton_example : testing::Test {
  expected<std::unique_ptr<loaded_model>> try_load(const std::string& task, const std::string& type = "ANY",
                                                   bool stubborn = false) {
    model_settings settings;
    settings.options = {{"task", task}, {"datatype", type}, {"stubborn", stubborn}, {"add_id", add_id}};
    return skills->load(settings, {});
  }

  void load(const std::string& task, const std::string& type = "ANY", bool stubborn = false) {
    auto loaded = try_load(task, type, stubborn);
    ASSERT_TRUE(loaded);
    model = *std::move(loaded);
    worker = *model->make_instance();
  }

  template <class T>
  static tensor row(std::string name, datatype type, std::vector<T> values) {
    values.resize(16);
    auto result = vector_tensor(std::move(name), type, std::move(values));
    result.shape = {1, 16};
    return result;
  }

  static inference_request repeat_request(std::vector<std::int32_t> in, std::vector<std::uint32_t> delay,
                                          std::uint32_t wait = 0) {
    return {{vector_tensor("IN", datatype::int32, std::move(in)),
             vector_tensor("DELAY", datatype::uint32, std::move(delay)),
             vector_tensor("WAIT", datatype::uint32, std::vector{wait})},
            {}};
  }

  static inference_request sleep_request(std::uint32_t delay) {
    return {{vector_tensor("DELAY", datatype::uint32, std::vector{delay})}, {}};
  }

  /// What a sequence of numbers is answered with, each on the state that the one before left.
  std::vector<std::int32_t> answers(const sequence_id& id, const std::vector<std::int32_t>& numbers) {
    std::vector<std::int32_t> result;
    std::any state;
    for (std::size_t i = 0; i != numbers.size(); ++i) {
      auto input = vector_tensor("INPUT", datatype::int32, std::vector{numbers[i]});
      input.shape = {1, 1};
      testing_support::recorded_item item{{{input}, {}, sequence_part{id, i == 0, i + 1 == numbers.size()}}};
      item.before = state;
      work_item* const batch[] = {&item};
      EXPECT_TRUE(worker->run(batch, {}));
      if (!item.last || !*item.last)
        return result;
      state = item.after;
      EXPECT_EQ((**item.last).outputs[0].shape, (std::vector<std::int64_t>{1, 1}));
      result.push_back(elements_of<std::int32_t>((**item.last).outputs[0]).front());
    }
    return result;
  }

  bool add_id = false;
  std::unique_ptr<skillset> skills = make_triton_examples_skillset();
  std::unique_ptr<loaded_model> model;
  std::unique_ptr<instance> worker;
};

TEST_F(triton_example, every_task_answers_its_own_warm_up) {
  for (const auto* task : {"add_sub", "identity", "repeat", "sleep", "accumulate", "mark_sequence"}) {
    load(task);
    EXPECT_TRUE(testing_support::respond(*worker, model->warm_up())) << task;
  }
  for (const auto* type : {"INT8", "BYTES"}) {
    load("add_sub", type);
    EXPECT_TRUE(testing_support::respond(*worker, model->warm_up())) << type;
  }
}

TEST_F(triton_example, numbers_are_added_and_subtracted_and_wrap_around) {
  load("add_sub");
  auto response = testing_support::respond(*worker, {{row<std::int32_t>("INPUT0", datatype::int32, {5, INT32_MAX}),
                                                      row<std::int32_t>("INPUT1", datatype::int32, {7, 1})},
                                                     {}});
  ASSERT_TRUE(response);
  EXPECT_EQ(response->outputs[0].name, "OUTPUT0");
  EXPECT_EQ(response->outputs[0].shape, (std::vector<std::int64_t>{1, 16}));
  EXPECT_EQ(elements_of<std::int32_t>(response->outputs[0])[0], 12);
  EXPECT_EQ(elements_of<std::int32_t>(response->outputs[0])[1], INT32_MIN);
  EXPECT_EQ(response->outputs[1].name, "OUTPUT1");
  EXPECT_EQ(elements_of<std::int32_t>(response->outputs[1])[0], -2);
  load("add_sub", "INT8");
  response = testing_support::respond(
      *worker,
      {{row<std::int8_t>("INPUT0", datatype::int8, {100}), row<std::int8_t>("INPUT1", datatype::int8, {100})}, {}});
  ASSERT_TRUE(response);
  EXPECT_EQ(elements_of<std::int8_t>(response->outputs[0])[0], -56);
}

TEST_F(triton_example, texts_are_numbers_or_named) {
  load("add_sub", "BYTES");
  const auto texts = [](std::string name, const std::string& first) {
    std::string data;
    append_bytes(data, first);
    for (int i = 1; i != 16; ++i)
      append_bytes(data, "1");
    return tensor{std::move(name), datatype::bytes, {1, 16}, buffer::take(std::move(data))};
  };
  auto response = testing_support::respond(*worker, {{texts("INPUT0", "-7"), texts("INPUT1", "2147483647")}, {}});
  ASSERT_TRUE(response);
  EXPECT_EQ((*split_bytes(response->outputs[0].data.view(), 16))[0], "2147483640");
  EXPECT_EQ((*split_bytes(response->outputs[1].data.view(), 16))[0], "-2147483654");
  for (const auto* bad : {"", "x", "1x", " 1", "2147483648", "1.0"}) {
    response = testing_support::respond(*worker, {{texts("INPUT0", "1"), texts("INPUT1", bad)}, {}});
    ASSERT_FALSE(response) << bad;
    EXPECT_EQ(response.error().code, status_code::invalid_argument);
    EXPECT_EQ(response.error().cause, "input 'INPUT1' has the element '" + std::string{bad} + "'");
  }
}

TEST_F(triton_example, there_are_no_sums_of_other_datatypes) {
  const auto refused = triton_examples::make_add_sub(datatype::fp32);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, status_code::invalid_argument);
}

TEST_F(triton_example, repeat_answers_each_element_in_its_time) {
  load("repeat");
  EXPECT_TRUE(model->describe().decoupled);
  virtual_clock time;
  const cancel_scope scope{scope_options{.clock = &time}};
  std::jthread passing{[&](const std::stop_token& stop) {
    while (!stop.stop_requested())
      if (time.armed() > 0)
        time.advance(1ms);
  }};
  const auto began = time.now();
  const auto responses = run_one(*worker, repeat_request({10, 20, 30}, {100, 0, 200}), scope.token());
  EXPECT_GE(time.now() - began, 300ms);
  ASSERT_TRUE(responses);
  ASSERT_EQ(responses->size(), 3u);
  for (std::size_t i = 0; i != 3; ++i) {
    EXPECT_EQ(elements_of<std::int32_t>((*responses)[i].outputs[0])[0], 10 * (static_cast<std::int32_t>(i) + 1));
    EXPECT_EQ(elements_of<std::uint32_t>((*responses)[i].outputs[1])[0], i);
  }
  const auto then = time.now();
  EXPECT_TRUE(run_one(*worker, repeat_request({}, {}, 500), scope.token()));
  EXPECT_GE(time.now() - then, 500ms) << "stays busy";
}

TEST_F(triton_example, repeat_wants_a_delay_for_each_element) {
  load("repeat");
  const auto responses = run_one(*worker, repeat_request({1, 2}, {0}), {});
  ASSERT_FALSE(responses);
  EXPECT_EQ(responses.error().message(), "input 'DELAY' has 1 elements; give as many as 'IN' has, 2");
}

TEST_F(triton_example, sequences_are_summed_or_marked) {
  using numbers = std::vector<std::int32_t>;
  load("accumulate");
  EXPECT_TRUE(model->describe().stateful);
  EXPECT_EQ(answers(std::uint64_t{7}, {11, 7, -20, INT32_MAX}), (numbers{11, 18, -2, INT32_MAX - 2}));
  EXPECT_EQ(answers("abc"s, {INT32_MAX, 1}), (numbers{INT32_MAX, INT32_MIN}));
  load("mark_sequence");
  EXPECT_EQ(answers(std::uint64_t{7}, {0, 11, 7}), (numbers{1, 11, 7}));
  add_id = true;
  load("mark_sequence");
  EXPECT_EQ(answers(std::uint64_t{1000}, {0, 11, 7}), (numbers{1, 11, 1007}));
  load("accumulate");
  EXPECT_EQ(answers("1002"s, {20, -11, -7}), (numbers{20, 9, 1004}));
  EXPECT_EQ(answers("1002x"s, {20, -11, -7}), (numbers{20, 9})) << "the id is no number";
}

TEST_F(triton_example, waits_end_when_they_are_cancelled_and_stubborn_ones_do_not) {
  cancel_scope scope;
  scope.cancel(make_error(status_code::unavailable, "shutting down"));
  load("repeat");
  const auto repeated = run_one(*worker, repeat_request({1}, {600'000}), scope.token());
  ASSERT_FALSE(repeated);
  EXPECT_EQ(repeated.error().code, status_code::unavailable);
  load("sleep");
  EXPECT_FALSE(testing_support::respond(*worker, sleep_request(600'000), scope.token()));
  load("sleep", "ANY", true);
  const auto began = steady_clock::now();
  EXPECT_TRUE(testing_support::respond(*worker, sleep_request(30), scope.token()));
  EXPECT_GE(steady_clock::now() - began, 30ms);
}

}  // namespace
}  // namespace troupe
