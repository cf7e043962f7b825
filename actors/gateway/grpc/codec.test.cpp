#include "actors/gateway/grpc/codec.hpp"

#include "actors/gateway/grpc/testing.hpp"

#include "inference/grpc_service.pb.h"

#include <gtest/gtest.h>

#include <cstring>

namespace troupe {
namespace {

using inference::ModelInferRequest;
using inference::ModelInferResponse;
using namespace std::string_literals;

struct codec : testing::Test {
  ModelInferRequest::InferInputTensor& input(const std::string& name, const std::string& type,
                                             std::initializer_list<std::int64_t> shape) {
    auto& added = *message->add_inputs();
    added.set_name(name);
    added.set_datatype(type);
    for (const auto extent : shape)
      added.add_shape(extent);
    return added;
  }

  expected<inference_request> decoded() { return decode(*message, message, {memory, 100}); }

  /// Says that a tensor is in shared memory, all of which is `r`.
  template <class Tensor>
  void share(Tensor& of, std::int64_t size, std::int64_t offset = 0) {
    auto& parameters = *of.mutable_parameters();
    parameters["shared_memory_region"].set_string_param("r");
    parameters["shared_memory_byte_size"].set_int64_param(size);
    parameters["shared_memory_offset"].set_int64_param(offset);
  }

  error refusal() {
    const auto result = decoded();
    EXPECT_FALSE(result);
    return result ? error{} : result.error();
  }

  std::shared_ptr<ModelInferRequest> message = std::make_shared<ModelInferRequest>();
  shared_memory memory;
};

template <class T>
std::vector<T> elements(const tensor& t) {
  std::vector<T> result(t.data.size() / sizeof(T));
  std::memcpy(result.data(), t.data.bytes().data(), t.data.size());
  return result;
}

TEST_F(codec, views_raw_contents_where_they_lie) {
  input("x", "INT8", {3});
  message->add_raw_input_contents("abc");
  const auto* where = message->raw_input_contents(0).data();
  const auto request = decoded();
  ASSERT_TRUE(request);
  message.reset();  // the buffer keeps it
  EXPECT_EQ(request->inputs[0].data.view(), "abc");
  EXPECT_EQ(static_cast<const void*>(request->inputs[0].data.bytes().data()), where);
  EXPECT_EQ(request->inputs[0].shape, (std::vector<std::int64_t>{3}));
}

TEST_F(codec, lays_typed_contents_out_as_raw_ones) {
  input("bool", "BOOL", {2}).mutable_contents()->mutable_bool_contents()->Add(true);
  input("i8", "INT8", {1}).mutable_contents()->add_int_contents(-128);
  input("i16", "INT16", {1}).mutable_contents()->add_int_contents(-32768);
  input("i32", "INT32", {1}).mutable_contents()->add_int_contents(-5);
  input("i64", "INT64", {1}).mutable_contents()->add_int64_contents(-6);
  input("u8", "UINT8", {1}).mutable_contents()->add_uint_contents(255);
  input("u16", "UINT16", {1}).mutable_contents()->add_uint_contents(65535);
  input("u32", "UINT32", {1}).mutable_contents()->add_uint_contents(7);
  input("u64", "UINT64", {1}).mutable_contents()->add_uint64_contents(8);
  input("f32", "FP32", {1}).mutable_contents()->add_fp32_contents(1.5F);
  input("f64", "FP64", {1}).mutable_contents()->add_fp64_contents(2.5);
  input("text", "BYTES", {1}).mutable_contents()->add_bytes_contents("ab");
  const auto request = decoded();
  ASSERT_TRUE(request) << to_string(request.error());
  const auto& in = request->inputs;
  EXPECT_EQ(elements<std::uint8_t>(in[0]), (std::vector<std::uint8_t>{1}));
  EXPECT_EQ(elements<std::int8_t>(in[1]), (std::vector<std::int8_t>{-128}));
  EXPECT_EQ(elements<std::int16_t>(in[2]), (std::vector<std::int16_t>{-32768}));
  EXPECT_EQ(elements<std::int32_t>(in[3]), (std::vector<std::int32_t>{-5}));
  EXPECT_EQ(elements<std::int64_t>(in[4]), (std::vector<std::int64_t>{-6}));
  EXPECT_EQ(elements<std::uint8_t>(in[5]), (std::vector<std::uint8_t>{255}));
  EXPECT_EQ(elements<std::uint16_t>(in[6]), (std::vector<std::uint16_t>{65535}));
  EXPECT_EQ(elements<std::uint32_t>(in[7]), (std::vector<std::uint32_t>{7}));
  EXPECT_EQ(elements<std::uint64_t>(in[8]), (std::vector<std::uint64_t>{8}));
  EXPECT_EQ(elements<float>(in[9]), (std::vector<float>{1.5F}));
  EXPECT_EQ(elements<double>(in[10]), (std::vector<double>{2.5}));
  EXPECT_EQ(in[11].data.view(), "\2\0\0\0ab"s);
}

TEST_F(codec, refuses_typed_values_and_fields_that_are_not_the_datatypes) {
  auto& x = input("x", "INT8", {1});
  x.mutable_contents()->add_int_contents(128);
  EXPECT_EQ(refusal().cause, "input 'x' has the value 128, which is no INT8");
  x.set_datatype("FP32");
  EXPECT_EQ(refusal().code, status_code::invalid_argument);
  x.set_datatype("UINT8");
  EXPECT_EQ(refusal().code, status_code::invalid_argument);
  for (const auto* raw_only : {"FP16", "BF16"}) {
    x.set_datatype(raw_only);
    EXPECT_EQ(refusal().code, status_code::invalid_argument) << raw_only;
  }
  x.set_datatype("INT16");
  EXPECT_TRUE(decoded());
  x.mutable_contents()->add_fp32_contents(1);
  EXPECT_EQ(refusal().code, status_code::invalid_argument) << "two fields at once";
}

TEST_F(codec, refuses_contents_that_do_not_match_the_inputs) {
  auto& x = input("x", "FP32", {1});
  message->add_raw_input_contents("1234");
  x.mutable_contents()->add_fp32_contents(1);
  EXPECT_EQ(refusal().cause, "input 'x' has typed contents although the request has raw contents");
  x.clear_contents();
  message->add_raw_input_contents("5678");
  EXPECT_EQ(refusal().cause, "there are 2 raw contents for 1 inputs");
  input("y", "FP32", {1});
  EXPECT_TRUE(decoded());
  input("z", "FP32", {1});
  EXPECT_EQ(refusal().code, status_code::invalid_argument);
}

TEST_F(codec, refuses_unknown_datatypes) {
  for (const auto* bad : {"", "ANY", "fp32", "FLOAT"}) {
    message->clear_inputs();
    input("x", bad, {1});
    EXPECT_EQ(refusal().code, status_code::invalid_argument) << bad;
  }
}

TEST_F(codec, passes_parameters_and_refuses_what_it_would_have_to_ignore) {
  auto& parameters = *message->mutable_parameters();
  parameters["b"].set_bool_param(true);
  parameters["i"].set_int64_param(-1);
  parameters["u"].set_uint64_param(1);
  parameters["d"].set_double_param(0.5);
  parameters["s"].set_string_param("x");
  parameters["none"];
  const auto request = decoded();
  ASSERT_TRUE(request);
  EXPECT_EQ(request->parameters,
            (parameter_map{{"b", true}, {"i", std::int64_t{-1}}, {"u", std::uint64_t{1}}, {"d", 0.5}, {"s", "x"s}}));
  parameters["shared_memory_region"].set_string_param("r");
  EXPECT_EQ(refusal().code, status_code::invalid_argument) << "belongs to a tensor";
}

TEST_F(codec, takes_raw_contents_for_those_inputs_that_are_not_in_shared_memory) {
  const testing_support::shared_object object{"0123456789"};
  ASSERT_TRUE(memory.add({"r", object.key(), 0, 10}));
  share(input("a", "UINT8", {2}), 2, 1);
  input("b", "UINT8", {1});
  share(input("c", "UINT8", {3}), 3, 7);
  input("d", "UINT8", {1});
  message->add_raw_input_contents("B");
  EXPECT_EQ(refusal().cause, "there are 1 raw contents for 4 inputs, of which 2 in shared memory");
  message->add_raw_input_contents("D");
  const auto request = decoded();
  ASSERT_TRUE(request) << to_string(request.error());
  std::string all;
  for (const auto& tensor : request->inputs)
    all += std::string{tensor.data.view()} + " ";
  EXPECT_EQ(all, "12 B 789 D ");
  message->add_raw_input_contents("E");
  EXPECT_EQ(refusal().code, status_code::invalid_argument);
}

TEST_F(codec, takes_typed_contents_beside_shared_memory) {
  const testing_support::shared_object object{"0123456789"};
  ASSERT_TRUE(memory.add({"r", object.key(), 0, 10}));
  share(input("a", "UINT8", {2}), 2);
  input("b", "UINT8", {1}).mutable_contents()->add_uint_contents('B');
  const auto request = decoded();
  ASSERT_TRUE(request) << to_string(request.error());
  EXPECT_EQ(request->inputs[0].data.view(), "01");
  EXPECT_EQ(request->inputs[1].data.view(), "B");
}

TEST_F(codec, says_where_an_output_is_that_is_in_shared_memory) {
  const testing_support::shared_object object{"0123456789"};
  ASSERT_TRUE(memory.add({"r", object.key(), 0, 10}));
  inference_response answer;
  answer.outputs.push_back({"a", datatype::uint8, {2}, buffer::take("ab"s)});
  answer.outputs.push_back({"b", datatype::uint8, {1}, buffer::take("c"s)});
  auto& a = *message->add_outputs();
  a.set_name("a");
  share(a, 5, 3);
  message->add_outputs()->set_name("b");
  ModelInferResponse response;
  encode(answer, *message, "7", *shared_outputs::of(*message, memory), response);
  ASSERT_EQ(response.raw_output_contents_size(), 2) << "looked up by the output's index";
  EXPECT_EQ(response.raw_output_contents(0), "");
  EXPECT_EQ(response.raw_output_contents(1), "c");
  const auto& where = response.outputs(0).parameters();
  EXPECT_EQ(where.at("shared_memory_region").string_param(), "r");
  EXPECT_EQ(where.at("shared_memory_byte_size").int64_param(), 2) << "that are there, not that were given";
  EXPECT_EQ(where.at("shared_memory_offset").int64_param(), 3);
  EXPECT_EQ(response.outputs(1).parameters_size(), 0);
}

TEST_F(codec, checks_which_outputs_are_asked_for) {
  const signature model{{}, {{"a", datatype::fp32, {1}}, {"b", datatype::fp32, {1}}}, false};
  EXPECT_TRUE(check_requested_outputs(*message, model));
  message->add_outputs()->set_name("b");
  EXPECT_TRUE(check_requested_outputs(*message, model));
  message->add_outputs()->set_name("b");
  EXPECT_EQ(check_requested_outputs(*message, model).error().cause, "output 'b' is asked for twice");
  message->mutable_outputs(1)->set_name("c");
  EXPECT_EQ(check_requested_outputs(*message, model).error().cause, "the model has no output 'c'");
  message->mutable_outputs(1)->set_name("a");
  (*message->mutable_outputs(1)->mutable_parameters())["classification"].set_int64_param(3);
  EXPECT_EQ(check_requested_outputs(*message, model).error().code, status_code::unimplemented);
}

TEST_F(codec, encodes_the_outputs_asked_for_in_their_order) {
  inference_response answer;
  answer.outputs.push_back({"a", datatype::fp32, {2, 1}, buffer::take("12345678"s)});
  answer.outputs.push_back({"b", datatype::bytes, {0}, {}});
  answer.parameters = {{"n", std::int64_t{3}}, {"f", true}, {"d", 0.5}, {"u", std::uint64_t{4}}, {"s", "t"s}};
  message->set_model_name("m");
  message->set_id("42");
  ModelInferResponse all;
  encode(answer, *message, "7", {}, all);
  EXPECT_EQ(all.model_name(), "m");
  EXPECT_EQ(all.model_version(), "7");
  EXPECT_EQ(all.id(), "42");
  ASSERT_EQ(all.outputs_size(), 2);
  EXPECT_EQ(all.outputs(0).datatype(), "FP32");
  EXPECT_EQ(all.outputs(0).shape_size(), 2);
  EXPECT_EQ(all.raw_output_contents(0), "12345678");
  EXPECT_EQ(all.raw_output_contents(1), "");
  EXPECT_EQ(all.parameters().at("n").int64_param(), 3);
  EXPECT_EQ(all.parameters().at("s").string_param(), "t");
  message->add_outputs()->set_name("b");
  message->add_outputs()->set_name("a");
  ModelInferResponse some;
  encode(answer, *message, "7", {}, some);
  ASSERT_EQ(some.outputs_size(), 2);
  EXPECT_EQ(some.outputs(0).name(), "b");
  EXPECT_EQ(some.outputs(1).name(), "a");
  EXPECT_EQ(some.raw_output_contents(1), "12345678");
}

}  // namespace
}  // namespace troupe
