#include "skillsets/sdk/host/messages.hpp"

#include "skillsets/sdk/host/testing.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace troupe {
namespace {

using namespace host;
using testing_support::elements;

/// What comes back of `value` by way of a message that has been bytes in between.
template <class Message, class T>
auto round_trip(const T& value) {
  Message there, back;
  to_wire(value, there);
  EXPECT_TRUE(back.ParseFromString(there.SerializeAsString()));
  return from_wire(back);
}

template <class Message, class T>
auto round_trip_viewed(const T& value) {
  Message there;
  static_cast<void>(to_wire(value, there));
  const auto back = std::make_shared<Message>();
  EXPECT_TRUE(back->ParseFromString(there.SerializeAsString()));
  return from_wire(*back, back);
}

const parameter_map all_parameters{{"yes", true},
                                   {"no", false},
                                   {"least", std::numeric_limits<std::int64_t>::min()},
                                   {"most", std::numeric_limits<std::uint64_t>::max()},
                                   {"half", 0.5},
                                   {"text", std::string{"f\xc3\xbcnf"}},
                                   {"empty", std::string{}}};

template <class Expected>
void expect_invalid(const Expected& read) {
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, status_code::invalid_argument);
}

void expect_same(const std::vector<tensor>& read, const std::vector<tensor>& wanted) {
  ASSERT_EQ(read.size(), wanted.size());
  for (std::size_t i = 0; i != read.size(); ++i) {
    EXPECT_EQ(read[i].name, wanted[i].name);
    EXPECT_EQ(read[i].type, wanted[i].type);
    EXPECT_EQ(read[i].shape, wanted[i].shape);
    EXPECT_EQ(read[i].data.view(), wanted[i].data.view());
  }
}

void expect_same(const std::vector<tensor_spec>& read, const std::vector<tensor_spec>& wanted) {
  ASSERT_EQ(read.size(), wanted.size());
  for (std::size_t i = 0; i != read.size(); ++i) {
    EXPECT_EQ(read[i].name, wanted[i].name);
    EXPECT_EQ(read[i].type, wanted[i].type);
    EXPECT_EQ(read[i].shape, wanted[i].shape);
    EXPECT_EQ(read[i].any_rank, wanted[i].any_rank);
  }
}

std::vector<tensor> some_tensors() {
  return {elements<float>("a", datatype::fp32, {1.5f, -2}),
          {"b", datatype::bytes, {1, 1}, buffer::take(std::string{"\x02\0\0\0hi", 6})},
          {"nothing", datatype::int8, {0, 16}, {}},
          {"scalar", datatype::boolean, {}, buffer::take(std::string{"\x01"})}};
}

TEST(messages, every_kind_of_parameter_crosses) {
  for (const auto& [name, value] : all_parameters) {
    const auto read = round_trip<wire::Parameter>(value);
    ASSERT_TRUE(read) << name;
    EXPECT_EQ(*read, value) << name;
  }
}

TEST(messages, a_parameter_without_a_value_is_invalid) {
  expect_invalid(from_wire(wire::Parameter{}));
  expect_invalid(from_wire(wire::Option{}));
  wire::Load load;
  (*load.mutable_options())["count"];
  expect_invalid(from_wire(load));
  const auto request = std::make_shared<wire::Request>();
  (*request->mutable_parameters())["count"];
  expect_invalid(from_wire(*request, request));
  const auto response = std::make_shared<wire::Response>();
  (*response->mutable_parameters())["count"];
  expect_invalid(from_wire(*response, response));
}

TEST(messages, a_failure_crosses) {
  const auto why = make_error(status_code::not_found, "there is no file", "put it there");
  EXPECT_EQ(round_trip<wire::Failure>(why), why);
}

TEST(messages, a_failure_with_a_code_that_is_none_is_unknown) {
  for (const std::uint32_t code : {0u, 17u, 4'000'000'000u}) {
    wire::Failure failure;
    failure.set_code(code);
    failure.set_cause("why");
    EXPECT_EQ(from_wire(failure), make_error(status_code::unknown, "why"));
  }
}

TEST(messages, an_option_crosses) {
  const option_spec mode{"mode", std::string{"fast"}, {"fast", "slow"}};
  const option_spec count{"count", std::int64_t{3}, {}, 1, 10};
  for (const auto& option : {mode, count}) {
    const auto read = round_trip<wire::Option>(option);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->name, option.name);
    EXPECT_EQ(read->fallback, option.fallback);
    EXPECT_EQ(read->choices, option.choices);
    EXPECT_EQ(read->least, option.least);
    EXPECT_EQ(read->most, option.most);
  }
}

TEST(messages, a_device_crosses) {
  const runtime_device device{"OpenVINO", "2024.1", "GPU.0", "A Card", {"FP16", "INT8"}};
  EXPECT_EQ(round_trip<wire::Device>(device), device);
}

TEST(messages, settings_cross) {
  const model_settings settings{.name = "m",
                                .folder = "/models/m",
                                .files = {{"weights", "/models/m/w.bin"}, {"config", "/models/m/c.json"}},
                                .options = all_parameters,
                                .device = "CPU",
                                .instances = 3,
                                .threads = 2};
  const auto read = round_trip<wire::Load>(settings);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->name, settings.name);
  EXPECT_EQ(read->folder, settings.folder);
  EXPECT_EQ(read->files, settings.files);
  EXPECT_EQ(read->options, settings.options);
  EXPECT_EQ(read->device, settings.device);
  EXPECT_EQ(read->instances, settings.instances);
  EXPECT_EQ(read->threads, settings.threads);
}

TEST(messages, a_signature_crosses) {
  const signature what{.inputs = {{"a", datatype::fp32, {-1, 16}}, {"b", datatype::any, {}, true}},
                       .outputs = {{"c", datatype::bytes, {-1}}},
                       .batches = true,
                       .decoupled = true,
                       .stateful = true};
  const auto read = round_trip<wire::Signature>(what);
  ASSERT_TRUE(read);
  expect_same(read->inputs, what.inputs);
  expect_same(read->outputs, what.outputs);
  EXPECT_TRUE(read->batches && read->decoupled && read->stateful);
  const auto plain = round_trip<wire::Signature>(signature{});
  ASSERT_TRUE(plain);
  EXPECT_FALSE(plain->batches || plain->decoupled || plain->stateful);
}

TEST(messages, a_datatype_that_there_is_not_is_invalid) {
  wire::Signature in, out;
  in.add_inputs()->set_datatype("FP31");
  out.add_outputs()->set_datatype("");
  expect_invalid(from_wire(in));
  expect_invalid(from_wire(out));
  const auto request = std::make_shared<wire::Request>();
  request->add_inputs()->set_datatype("fp32");
  expect_invalid(from_wire(*request, request));
  const auto response = std::make_shared<wire::Response>();
  response->add_outputs()->set_datatype("STRING");
  expect_invalid(from_wire(*response, response));
}

TEST(messages, a_request_crosses) {
  const inference_request request{some_tensors(), all_parameters};
  const auto read = round_trip_viewed<wire::Request>(request);
  ASSERT_TRUE(read);
  expect_same(read->inputs, request.inputs);
  EXPECT_EQ(read->parameters, request.parameters);
}

TEST(messages, a_response_crosses) {
  const inference_response response{some_tensors(), all_parameters};
  const auto read = round_trip_viewed<wire::Response>(response);
  ASSERT_TRUE(read);
  expect_same(read->outputs, response.outputs);
  EXPECT_EQ(read->parameters, response.parameters);
}

TEST(messages, an_error_crosses_whatever_it_quotes) {
  wire::Failure message;
  to_wire(make_error(status_code::invalid_argument, "no number: \xff\xe2\x82", "not \xc0\x80"), message);
  wire::Failure read;
  ASSERT_TRUE(read.ParseFromString(message.SerializeAsString()));
  EXPECT_EQ(read.cause(), "no number: \uFFFD\uFFFD");
  EXPECT_EQ(from_wire(read).code, status_code::invalid_argument);
}

TEST(messages, a_response_with_texts_that_are_none_is_an_error) {
  wire::Response message;
  EXPECT_EQ(to_wire(inference_response{{tensor{"\xff", {}, {}, {}}}, {}}, message).error().cause,
            "the skillset gave an output called '\uFFFD', which is no UTF-8");
  EXPECT_EQ(to_wire(inference_response{{}, {{"p", std::string{"\xff"}}}}, message).error().cause,
            "the skillset gave a parameter 'p' of '\uFFFD', which is no UTF-8");
  EXPECT_EQ(to_wire(inference_response{{}, {{"\xff", true}}}, message).error().code, status_code::internal);
  EXPECT_TRUE(to_wire(inference_response{{tensor{"\u00e9", {}, {}, {}}}, {{"p", std::string{"\u20ac"}}}}, message));
}

TEST(messages, tensors_keep_the_message_alive_that_they_lie_in) {
  auto message = std::make_shared<wire::Request>();
  to_wire(inference_request{some_tensors(), {}}, *message);
  const std::weak_ptr<wire::Request> watched = message;
  auto read = from_wire(*message, message);
  ASSERT_TRUE(read);
  EXPECT_EQ(static_cast<const void*>(read->inputs[0].data.bytes().data()),
            static_cast<const void*>(message->inputs(0).data().data()));
  message.reset();
  EXPECT_FALSE(watched.expired());
  read = inference_request{};
  EXPECT_TRUE(watched.expired());
}

batch_policy round_trip_policy(const batch_policy& policy) {
  wire::Loaded message;
  to_wire(policy, message);
  return batching_of(message);
}

TEST(messages, limits_and_a_linear_cost_cross) {
  const linear_cost cost{2, 100, 512};
  const auto read = round_trip_policy({{8, 4096, 64, 2}, cost});
  EXPECT_EQ(read.limits, (batch_limits{8, 4096, 64, 2}));
  ASSERT_TRUE(read.cost.target<linear_cost>());
  EXPECT_EQ(*read.cost.target<linear_cost>(), cost);
}

TEST(messages, a_cost_that_is_any_other_function_stays_where_it_is) {
  EXPECT_FALSE(round_trip_policy({{}, [](const auto&) { return work_cost{}; }}).cost);
  EXPECT_EQ(round_trip_policy({}).limits, batch_limits{});
}

TEST(messages, limits_that_make_no_sense_are_as_if_they_were_not_there) {
  wire::Loaded message;
  message.mutable_limits()->set_items(-1);
  message.mutable_limits()->set_units(-5);
  message.mutable_limits()->set_run_units(-7);
  message.mutable_limits()->set_padding_part(0);
  message.mutable_cost()->set_fixed(-1);
  const auto read = batching_of(message);
  EXPECT_EQ(read.limits, batch_limits{});
  ASSERT_TRUE(read.cost.target<linear_cost>());
  EXPECT_EQ(*read.cost.target<linear_cost>(), (linear_cost{0, 1, std::numeric_limits<std::int64_t>::max()}));
}

}  // namespace
}  // namespace troupe
