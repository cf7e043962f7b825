#include "actors/gateway/grpc/shared_tensors.hpp"

#include "actors/gateway/grpc/testing.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace troupe {
namespace {

using namespace std::string_literals;
using testing::HasSubstr;
using testing_support::shared_object;

void put(wire_parameters& parameters, const std::string& region, std::int64_t size, std::int64_t offset = 0) {
  parameters["shared_memory_region"].set_string_param(region);
  parameters["shared_memory_byte_size"].set_int64_param(size);
  if (offset != 0)
    parameters["shared_memory_offset"].set_int64_param(offset);
}

struct shared_tensors : testing::Test {
  void SetUp() override { ASSERT_TRUE(memory.add({"r", object.key(), 0, 10})); }

  expected<buffer> read() { return shared_inputs{memory, most_bytes}.read(input); }

  error refusal() {
    const auto data = read();
    EXPECT_FALSE(data);
    return data ? error{} : data.error();
  }

  expected<shared_outputs> outputs() const { return shared_outputs::of(request, memory); }

  /// Asks for one more output.
  wire_parameters& want(const std::string& name) {
    auto& output = *request.add_outputs();
    output.set_name(name);
    return *output.mutable_parameters();
  }

  static inference_response answer(std::initializer_list<std::pair<std::string, std::string>> outputs) {
    inference_response result;
    for (const auto& [name, data] : outputs)
      result.outputs.push_back({name, datatype::uint8, {static_cast<std::int64_t>(data.size())}, buffer::take(data)});
    return result;
  }

  shared_object object{"0123456789"};
  shared_memory memory;
  std::uint64_t most_bytes = 100;
  inference::ModelInferRequest request;
  inference::ModelInferRequest::InferInputTensor& input = *request.add_inputs();
  wire_parameters& parameters = *input.mutable_parameters();
};

TEST_F(shared_tensors, tells_who_speaks_of_shared_memory) {
  parameters["other"].set_bool_param(true);
  EXPECT_FALSE(in_shared_memory(parameters));
  parameters["shared_memory_offset"];
  EXPECT_TRUE(in_shared_memory(parameters));
}

TEST_F(shared_tensors, reads_an_input_from_its_region) {
  put(parameters, "r", 10);
  EXPECT_EQ(read()->view(), "0123456789");
  put(parameters, "r", 3, 4);
  EXPECT_EQ(read()->view(), "456");
}

TEST_F(shared_tensors, says_which_input_is_wrong) {
  input.set_name("x");
  put(parameters, "s", 1);
  EXPECT_EQ(refusal().cause, "input 'x': there is no shared memory region 's'");
  put(parameters, "r", 11);
  EXPECT_EQ(refusal().cause, "input 'x': shared memory region 'r' of 10 bytes has no 11 bytes from 0 on");
  object.resize(4);
  put(parameters, "r", 10);
  EXPECT_THAT(refusal().cause, HasSubstr("input 'x': shared memory '" + object.key() + "' of region 'r' has become"));
}

TEST_F(shared_tensors, refuses_numbers_that_are_no_place) {
  constexpr auto least = std::numeric_limits<std::int64_t>::min();
  constexpr auto most = std::numeric_limits<std::int64_t>::max();
  for (const auto& [size, offset] :
       {std::pair{-1l, 0l}, {1l, -1l}, {least, 0l}, {1l, least}, {most, 0l}, {1l, most}, {most, most}, {-5l, 10l}}) {
    parameters.clear();
    put(parameters, "r", size, offset);
    EXPECT_EQ(refusal().code, status_code::invalid_argument) << size << " " << offset;
  }
}

TEST_F(shared_tensors, refuses_parameters_that_are_incomplete_unknown_or_of_the_wrong_type) {
  parameters["shared_memory_region"].set_string_param("r");
  EXPECT_THAT(refusal().cause, HasSubstr("not all"));
  parameters.clear();
  parameters["shared_memory_byte_size"].set_int64_param(4);
  EXPECT_THAT(refusal().cause, HasSubstr("not all"));
  put(parameters, "r", 4);
  ASSERT_TRUE(read());
  parameters["shared_memory_handle"].set_string_param("r");
  EXPECT_THAT(refusal().cause, HasSubstr("'shared_memory_handle'"));
  parameters.erase("shared_memory_handle");
  parameters["shared_memory_byte_size"].set_uint64_param(4);
  EXPECT_THAT(refusal().cause, HasSubstr("'shared_memory_byte_size'"));
  put(parameters, "r", 4);
  parameters["shared_memory_region"].set_int64_param(4);
  EXPECT_THAT(refusal().cause, HasSubstr("'shared_memory_region'"));
}

TEST_F(shared_tensors, refuses_contents_beside_shared_memory) {
  put(parameters, "r", 4);
  input.mutable_contents()->add_fp32_contents(1);
  EXPECT_EQ(refusal().code, status_code::invalid_argument);
}

TEST_F(shared_tensors, copies_no_more_than_a_request_may_have) {
  shared_inputs inputs{memory, 19};
  put(parameters, "r", 10);
  ASSERT_TRUE(inputs.read(input));
  const auto refused = inputs.read(input);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, status_code::resource_exhausted);
  put(parameters, "r", 9);
  EXPECT_TRUE(inputs.read(input));
}

TEST_F(shared_tensors, writes_the_outputs_that_are_wanted_there) {
  put(want("a"), "r", 4, 6);
  want("b");
  put(want("c"), "r", 2);
  const auto places = outputs();
  ASSERT_TRUE(places);
  EXPECT_EQ(places->find("a")->offset(), 6u);
  EXPECT_EQ(places->find("b"), nullptr);
  ASSERT_TRUE(places->write(answer({{"a", "wxyz"}, {"b", "-----------"}, {"c", "!"}})));
  EXPECT_EQ(object.content(), "!12345wxyz");
}

TEST_F(shared_tensors, refuses_places_of_outputs_that_are_none) {
  put(want("a"), "s", 4);
  EXPECT_EQ(outputs().error().cause, "output 'a': there is no shared memory region 's'");
  request.clear_outputs();
  put(want("a"), "r", 4, 8);
  EXPECT_EQ(outputs().error().code, status_code::invalid_argument);
}

TEST_F(shared_tensors, writes_nothing_when_one_output_does_not_fit) {
  put(want("a"), "r", 4);
  put(want("b"), "r", 4, 4);
  const auto written = outputs()->write(answer({{"a", "abcd"}, {"b", "efghi"}}));
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, status_code::invalid_argument);
  EXPECT_EQ(written.error().cause,
            "output 'b' needs 5 bytes, more than the 4 it was given in shared memory region 'r'");
  EXPECT_EQ(object.content(), "0123456789");
}

TEST_F(shared_tensors, writes_nothing_into_an_object_that_has_become_smaller) {
  put(want("a"), "r", 4);
  put(want("b"), "r", 4, 4);
  const auto places = outputs();
  object.resize(6);
  const auto written = places->write(answer({{"a", "abcd"}, {"b", "e"}}));
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, status_code::failed_precondition);
  EXPECT_THAT(written.error().cause, HasSubstr("output 'b': "));
  EXPECT_EQ(object.content(), "012345");
}

TEST_F(shared_tensors, keep_their_region) {
  put(want("a"), "r", 4);
  const auto places = outputs();
  memory.remove_all();
  ASSERT_TRUE(places->write(answer({{"a", "abcd"}})));
  EXPECT_EQ(places->find("a")->region(), "r");
  EXPECT_EQ(object.content(), "abcd456789");
}

}  // namespace
}  // namespace troupe
