#include "apps/troupe/response.hpp"

#include "inference/grpc_service.pb.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include <limits>

namespace troupe::cli {
namespace {

using namespace std::string_literals;
using testing::HasSubstr;
using testing::StartsWith;

using json = nlohmann::json;

constexpr auto huge = std::numeric_limits<std::int64_t>::max();

struct responding : testing::Test {
  inference::ModelInferResponse::InferOutputTensor& output(const std::string& name, const std::string& type,
                                                           std::initializer_list<std::int64_t> shape) {
    auto& added = *response.add_outputs();
    added.set_name(name);
    added.set_datatype(type);
    for (const auto extent : shape)
      added.add_shape(extent);
    return added;
  }

  template <class T>
  void raw(const std::string& name, const std::string& type, std::initializer_list<std::int64_t> shape,
           std::initializer_list<T> elements) {
    output(name, type, shape);
    response.add_raw_output_contents(elements.begin(), elements.size() * sizeof(T));
  }

  void raw_bytes(const std::string& name, std::initializer_list<std::int64_t> shape,
                 std::initializer_list<std::string> elements) {
    std::string data;
    for (const auto& element : elements)
      append_bytes(data, element);
    output(name, "BYTES", shape);
    response.add_raw_output_contents(data);
  }

  std::vector<tensor> read() {
    auto outputs = read_outputs(response);
    EXPECT_TRUE(outputs) << to_string(outputs.error());
    return outputs ? *std::move(outputs) : std::vector<tensor>{};
  }

  /// Why the response is refused, which must be the node's fault.
  std::string refusal() {
    const auto outputs = read_outputs(response);
    EXPECT_FALSE(outputs);
    EXPECT_EQ(outputs ? status_code::ok : outputs.error().code, status_code::internal);
    return outputs ? "" : outputs.error().cause;
  }

  std::string text() { return response_to_text(response, read()); }

  json parsed() {
    const auto line = response_to_json(response, read());
    EXPECT_EQ(line.find('\n'), line.size() - 1) << "one line";
    auto result = json::parse(line, nullptr, false);
    EXPECT_FALSE(result.is_discarded()) << line;
    return result;
  }

  inference::ModelInferResponse response;
};

TEST_F(responding, views_raw_contents_where_they_lie) {
  raw<float>("x", "FP32", {2, 1}, {1, 2});
  raw<std::uint8_t>("y", "UINT8", {0}, {});
  const auto outputs = read();
  ASSERT_EQ(outputs.size(), 2u);
  EXPECT_EQ(outputs[0].name, "x");
  EXPECT_EQ(outputs[0].type, datatype::fp32);
  EXPECT_EQ(outputs[0].shape, (std::vector<std::int64_t>{2, 1}));
  EXPECT_EQ(outputs[0].data.view().data(), response.raw_output_contents(0).data());
  EXPECT_EQ(outputs[1].data.size(), 0u);
}

TEST_F(responding, a_response_may_have_no_outputs) {
  EXPECT_TRUE(read().empty());
  EXPECT_EQ(text(), "");
  EXPECT_EQ(parsed()["outputs"], json::array());
}

TEST_F(responding, typed_contents_print_as_raw_ones) {
  output("bool", "BOOL", {2}).mutable_contents()->mutable_bool_contents()->Add(true);
  response.mutable_outputs(0)->mutable_contents()->add_bool_contents(false);
  output("i8", "INT8", {1}).mutable_contents()->add_int_contents(-128);
  output("i16", "INT16", {1}).mutable_contents()->add_int_contents(-32768);
  output("i32", "INT32", {1}).mutable_contents()->add_int_contents(-5);
  output("i64", "INT64", {1}).mutable_contents()->add_int64_contents(-huge - 1);
  output("u8", "UINT8", {1}).mutable_contents()->add_uint_contents(255);
  output("u16", "UINT16", {1}).mutable_contents()->add_uint_contents(65535);
  output("u32", "UINT32", {1}).mutable_contents()->add_uint_contents(4294967295);
  output("u64", "UINT64", {1}).mutable_contents()->add_uint64_contents(std::numeric_limits<std::uint64_t>::max());
  output("f32", "FP32", {1}).mutable_contents()->add_fp32_contents(0.1F);
  output("f64", "FP64", {1}).mutable_contents()->add_fp64_contents(0.1);
  output("text", "BYTES", {1}).mutable_contents()->add_bytes_contents("ab");
  EXPECT_EQ(text(),
            "bool BOOL [2]\n[true, false]\n"
            "i8 INT8 [1]\n[-128]\n"
            "i16 INT16 [1]\n[-32768]\n"
            "i32 INT32 [1]\n[-5]\n"
            "i64 INT64 [1]\n[-9223372036854775808]\n"
            "u8 UINT8 [1]\n[255]\n"
            "u16 UINT16 [1]\n[65535]\n"
            "u32 UINT32 [1]\n[4294967295]\n"
            "u64 UINT64 [1]\n[18446744073709551615]\n"
            "f32 FP32 [1]\n[0.1]\n"
            "f64 FP64 [1]\n[0.1]\n"
            "text BYTES [1]\n[\"ab\"]\n");
}

TEST_F(responding, raw_contents_of_every_datatype_print_as_values) {
  raw<std::uint8_t>("bool", "BOOL", {3}, {0, 1, 2});
  raw<std::int8_t>("i8", "INT8", {1}, {-1});
  raw<std::int16_t>("i16", "INT16", {1}, {-1});
  raw<std::int32_t>("i32", "INT32", {1}, {-1});
  raw<std::int64_t>("i64", "INT64", {1}, {huge});
  raw<std::uint8_t>("u8", "UINT8", {1}, {255});
  raw<std::uint16_t>("u16", "UINT16", {1}, {65535});
  raw<std::uint32_t>("u32", "UINT32", {1}, {4294967295});
  raw<std::uint64_t>("u64", "UINT64", {1}, {std::numeric_limits<std::uint64_t>::max()});
  raw<std::uint16_t>("f16", "FP16", {2}, {0x3C00, 0x2E66});
  raw<std::uint16_t>("bf16", "BF16", {2}, {0x3F80, 0x7F7F});
  raw<double>("f64", "FP64", {1}, {1e300});
  const auto outputs = parsed()["outputs"];
  EXPECT_EQ(outputs[0]["data"], json::array({false, true, true}));
  EXPECT_EQ(outputs[1]["data"], json::array({-1}));
  EXPECT_EQ(outputs[2]["data"], json::array({-1}));
  EXPECT_EQ(outputs[3]["data"], json::array({-1}));
  EXPECT_EQ(outputs[4]["data"], json::array({huge}));
  EXPECT_EQ(outputs[5]["data"], json::array({255}));
  EXPECT_EQ(outputs[6]["data"], json::array({65535}));
  EXPECT_EQ(outputs[7]["data"], json::array({4294967295}));
  EXPECT_EQ(outputs[8]["data"], json::array({std::numeric_limits<std::uint64_t>::max()}));
  EXPECT_EQ(outputs[9]["data"], json::array({1, 0.099975586})) << "the shortest of a binary32";
  EXPECT_EQ(outputs[10]["data"], json::array({1, 3.3895314e38}));
  EXPECT_EQ(outputs[11]["data"], json::array({1e300}));
}

TEST_F(responding, json_is_as_the_open_inference_protocol_has_it) {
  response.set_model_name("m");
  response.set_model_version("1");
  response.set_id("r");
  (*response.mutable_parameters())["b"].set_int64_param(-1);
  (*response.mutable_parameters())["a"].set_bool_param(true);
  raw<float>("x", "FP32", {2, 1}, {1, 2.5});
  raw<std::int32_t>("s", "INT32", {}, {7});
  EXPECT_EQ(response_to_json(response, read()),
            R"({"model_name":"m","model_version":"1","id":"r","parameters":{"a":true,"b":-1},"outputs":[)"
            R"({"name":"x","datatype":"FP32","shape":[2,1],"data":[1,2.5]},)"
            R"({"name":"s","datatype":"INT32","shape":[],"data":[7]}]})"
            "\n");
}

TEST_F(responding, json_says_what_it_has_no_numbers_or_characters_for) {
  constexpr auto infinity = std::numeric_limits<float>::infinity();
  raw<float>("x", "FP32", {3}, {std::numeric_limits<float>::quiet_NaN(), infinity, -infinity});
  raw<std::uint16_t>("h", "FP16", {2}, {0x7C01, 0xFC00});
  raw_bytes("t", {3}, {"caf\u00e9\n\x1b\0"s, "\xff", ""});
  const auto outputs = parsed()["outputs"];
  EXPECT_EQ(outputs[0]["data"].dump(), R"(["NaN","Infinity","-Infinity"])");
  EXPECT_EQ(outputs[1]["data"].dump(), R"(["NaN","-Infinity"])");
  EXPECT_EQ(outputs[2]["data"][0], "caf\u00e9\n\x1b\0"s);
  EXPECT_EQ(outputs[2]["data"][1].dump(), R"({"b64":"/w=="})");
  EXPECT_EQ(outputs[2]["data"][2], "");
}

TEST_F(responding, json_escapes_names) {
  response.set_model_name("a\"b\n");
  response.set_id("{[");
  (*response.mutable_parameters())["k\"{"].set_string_param("v{");
  (*response.mutable_parameters())["l"].set_string_param("\n");
  raw<std::uint8_t>("n[", "BOOL", {1}, {1});
  const auto object = parsed();
  EXPECT_EQ(object["model_name"], "a\"b\n");
  EXPECT_EQ(object["id"], "{[");
  EXPECT_EQ(object["parameters"], json({{"k\"{", "v{"}, {"l", "\n"}}));
  EXPECT_EQ(object["outputs"][0]["name"], "n[");
}

TEST_F(responding, parameters_of_every_type_come_in_the_order_of_their_keys) {
  auto& parameters = *response.mutable_parameters();
  parameters["i"].set_int64_param(-huge - 1);
  parameters["u"].set_uint64_param(std::numeric_limits<std::uint64_t>::max());
  parameters["s"].set_string_param("a\nb");
  parameters["d"].set_double_param(std::numeric_limits<double>::quiet_NaN());
  parameters["b"].set_bool_param(false);
  parameters["a\nkey"];
  EXPECT_EQ(text(),
            "a key = null\n"
            "b = false\n"
            "d = NaN\n"
            "i = -9223372036854775808\n"
            "s = \"a\\nb\"\n"
            "u = 18446744073709551615\n");
  EXPECT_EQ(parsed()["parameters"].dump(),
            R"({"a\nkey":null,"b":false,"d":"NaN","i":-9223372036854775808,"s":"a\nb","u":18446744073709551615})");
}

TEST_F(responding, text_has_the_id_that_the_request_was_given) {
  response.set_id("r\n1");
  raw<std::uint8_t>("x", "BOOL", {1}, {1});
  EXPECT_EQ(text(), "x BOOL [1]\n[true]\nid \"r\\n1\"\n");
}

TEST_F(responding, text_nests_brackets_with_a_row_on_each_line) {
  raw<std::uint8_t>("x", "UINT8", {2, 2, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  EXPECT_EQ(text(),
            "x UINT8 [2, 2, 3]\n"
            "[[[1, 2, 3],\n"
            "  [4, 5, 6]],\n"
            " [[7, 8, 9],\n"
            "  [10, 11, 12]]]\n");
}

TEST_F(responding, text_shows_scalars_and_extents_of_one_and_none) {
  raw<std::uint8_t>("scalar", "UINT8", {}, {1});
  raw<std::uint8_t>("ones", "UINT8", {1, 1}, {1});
  raw<std::uint8_t>("column", "UINT8", {2, 1}, {1, 2});
  raw<std::uint8_t>("none", "UINT8", {2, 0, huge}, {});
  EXPECT_EQ(text(),
            "scalar UINT8 []\n1\n"
            "ones UINT8 [1, 1]\n[[1]]\n"
            "column UINT8 [2, 1]\n[[1],\n [2]]\n"
            "none UINT8 [2, 0, 9223372036854775807]\n[]\n");
}

TEST_F(responding, text_lets_nothing_from_the_wire_reach_the_terminal_as_a_command) {
  raw_bytes("x\x1b[2J\n", {2}, {"\x1b[2J\n\u009b", "\xff\"" + std::string{"\0", 1}});
  EXPECT_EQ(text(), "x [2J  BYTES [2]\n[\"\\x1b[2J\\n\\xc2\\x9b\", \"\\xff\\\"\\x00\"]\n");
}

TEST_F(responding, refuses_as_many_raw_contents_as_there_are_not_outputs) {
  raw<std::uint8_t>("x", "UINT8", {1}, {1});
  response.add_raw_output_contents("y");
  EXPECT_EQ(refusal(), "the node answered 1 outputs with 2 raw contents");
  response.clear_outputs();
  EXPECT_EQ(refusal(), "the node answered 0 outputs with 2 raw contents");
}

TEST_F(responding, refuses_unknown_datatypes) {
  for (const auto* bad : {"", "ANY", "fp32", "STRING"}) {
    response.Clear();
    raw<float>("x", bad, {1}, {1});
    EXPECT_EQ(refusal(), "the node's answer is broken at output 'x': unknown datatype '"s + bad + "'");
  }
}

TEST_F(responding, refuses_sizes_that_do_not_agree_with_the_shape) {
  raw<float>("x", "FP32", {2}, {1});
  EXPECT_EQ(refusal(), "the node's answer is broken at output 'x': 4 bytes are not 2 elements of FP32");
  for (const auto size : {0, 7, 9, 12}) {
    response.set_raw_output_contents(0, std::string(static_cast<std::size_t>(size), 'x'));
    EXPECT_THAT(refusal(), HasSubstr("are not 2 elements of FP32")) << size;
  }
  response.mutable_outputs(0)->set_shape(0, huge);
  EXPECT_THAT(refusal(), HasSubstr("are not 9223372036854775807 elements"));
}

TEST_F(responding, refuses_shapes_that_are_none) {
  raw<float>("x", "FP32", {-1}, {1});
  EXPECT_THAT(refusal(), HasSubstr("has the negative extent -1"));
  response.mutable_outputs(0)->set_shape(0, huge);
  response.mutable_outputs(0)->add_shape(2);
  EXPECT_THAT(refusal(), HasSubstr("more elements than 63 bits can count"));
  // 2^62 elements of 4 bytes are 2^64 bytes, which must not be taken for none.
  response.mutable_outputs(0)->set_shape(0, 1LL << 62);
  response.mutable_outputs(0)->set_shape(1, 1);
  response.set_raw_output_contents(0, "");
  EXPECT_THAT(refusal(), HasSubstr("0 bytes are not 4611686018427387904 elements of FP32"));
}

TEST_F(responding, refuses_text_that_does_not_add_up) {
  raw_bytes("t", {2}, {"a"});
  EXPECT_THAT(refusal(), StartsWith("the node's answer is broken at output 't': BYTES element 1 is missing"));
  response.mutable_outputs(0)->set_shape(0, 1);
  for (const auto& bad : {""s, "\1\0"s, "\2\0\0\0a"s, "\xff\xff\xff\xff"s, "\1\0\0\0ab"s}) {
    response.set_raw_output_contents(0, bad);
    EXPECT_THAT(refusal(), HasSubstr("broken at output 't'"));
  }
  response.mutable_outputs(0)->set_shape(0, huge);
  EXPECT_THAT(refusal(), HasSubstr("can't hold 9223372036854775807 elements")) << "nothing is allocated";
}

TEST_F(responding, refuses_typed_contents_of_another_datatype) {
  output("x", "FP32", {1}).mutable_contents()->add_fp64_contents(1);
  EXPECT_THAT(refusal(), HasSubstr("0 bytes are not 1 elements of FP32"));
  for (const auto* raw_only : {"FP16", "BF16"}) {
    response.mutable_outputs(0)->set_datatype(raw_only);
    EXPECT_THAT(refusal(), HasSubstr("broken at output 'x'")) << raw_only;
  }
}

TEST_F(responding, refuses_typed_contents_out_of_the_datatypes_range) {
  auto& x = output("x", "UINT8", {2});
  x.mutable_contents()->add_uint_contents(255);
  x.mutable_contents()->add_uint_contents(256);
  EXPECT_EQ(refusal(), "the node's answer is broken at output 'x': the value 256 is no UINT8");
  x.set_datatype("UINT16");
  EXPECT_EQ(text(), "x UINT16 [2]\n[255, 256]\n");
  x.mutable_contents()->add_int_contents(127);
  x.mutable_contents()->add_int_contents(-129);
  x.set_datatype("INT8");
  EXPECT_EQ(refusal(), "the node's answer is broken at output 'x': the value -129 is no INT8");
  x.set_datatype("INT16");
  EXPECT_EQ(text(), "x INT16 [2]\n[127, -129]\n");
  x.mutable_contents()->set_int_contents(0, 32768);
  EXPECT_EQ(refusal(), "the node's answer is broken at output 'x': the value 32768 is no INT16");
}

}  // namespace
}  // namespace troupe::cli
