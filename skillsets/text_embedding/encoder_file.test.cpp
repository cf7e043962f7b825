#include "skillsets/text_embedding/encoder_file.hpp"

#include "skillsets/text_embedding/bert_encoder.hpp"
#include "skillsets/text_embedding/test_model.hpp"
#include "skillsets/text_embedding/tiny_bert.hpp"

#include "skillsets/sdk/testing.hpp"

#include <gmock/gmock.h>

#include <fstream>
#include <openvino/core/graph_util.hpp>
#include <openvino/core/model.hpp>
#include <openvino/op/concat.hpp>
#include <openvino/op/constant.hpp>
#include <openvino/op/parameter.hpp>
#include <openvino/op/reduce_max.hpp>
#include <openvino/op/reduce_sum.hpp>
#include <openvino/op/result.hpp>

namespace troupe {
namespace {

using testing::HasSubstr;

/// Just enough of protobuf's encoding to write an ONNX file (https://onnx.ai/onnx/api/classes.html).
struct message {
  std::string bytes;

  message& number(int field, std::uint64_t value) {
    return varint(static_cast<std::uint64_t>(field) << 3).varint(value);
  }

  message& text(int field, const std::string& value) {
    varint(static_cast<std::uint64_t>(field) << 3 | 2).varint(value.size());
    bytes += value;
    return *this;
  }

  message& varint(std::uint64_t value) {
    for (; value >= 128; value >>= 7)
      bytes += static_cast<char>(value | 128);
    bytes += static_cast<char>(value);
    return *this;
  }
};

constexpr int onnx_float = 1;
constexpr int onnx_int64 = 7;

std::string onnx_value(const std::string& name, int type, const std::vector<std::string>& axes) {
  message shape;
  for (const auto& axis : axes)
    shape.text(1, axis == "1" ? message{}.number(1, 1).bytes : message{}.text(2, axis).bytes);
  const auto tensor = message{}.number(1, static_cast<std::uint64_t>(type)).text(2, shape.bytes).bytes;
  return message{}.text(1, name).text(2, message{}.text(1, tensor).bytes).bytes;
}

/// An encoder whose `last_hidden_state` [batch, tokens, 1] is the ids themselves.
std::string onnx_of_ids() {
  const auto to = message{}.text(1, "to").number(3, onnx_float).number(20, 2).bytes;
  const auto cast = message{}.text(1, "input_ids").text(2, "numbers").text(4, "Cast").text(5, to).bytes;
  const auto unsqueeze =
      message{}.text(1, "numbers").text(1, "axes").text(2, "last_hidden_state").text(4, "Unsqueeze").bytes;
  const auto axes = message{}.number(1, 1).number(2, onnx_int64).number(7, 2).text(8, "axes").bytes;
  const auto graph = message{}
                         .text(1, cast)
                         .text(1, unsqueeze)
                         .text(2, "ids")
                         .text(5, axes)
                         .text(11, onnx_value("input_ids", onnx_int64, {"batch", "tokens"}))
                         .text(11, onnx_value("attention_mask", onnx_int64, {"batch", "tokens"}))
                         .text(12, onnx_value("last_hidden_state", onnx_float, {"batch", "tokens", "1"}))
                         .bytes;
  return message{}.number(1, 8).text(7, graph).text(8, message{}.number(2, 13).bytes).bytes;
}

struct encoder_file : testing::Test {
  expected<std::vector<float>> embed(const model_settings& settings, const std::vector<std::string>& some) {
    auto loaded = skills->load(settings, {});
    if (!loaded)
      return loaded.error();
    model = *std::move(loaded);
    const auto response = testing_support::respond(**model->make_instance(), request_of(some), {});
    if (!response)
      return response.error();
    return numbers_of(*response);
  }

  model_settings settings_for(const std::filesystem::path& path) {
    auto settings = minilm_settings();
    settings.files = {{"model", path}, {"tokenizer", minilm / "tokenizer.json"}};
    settings.options["max_tokens"] = std::int64_t{64};
    return settings;
  }

  void expect_error(const model_settings& settings, const std::string& part) {
    const auto numbers = embed(settings, {});
    ASSERT_FALSE(numbers);
    EXPECT_EQ(numbers.error().code, status_code::invalid_argument);
    EXPECT_THAT(numbers.error().cause, HasSubstr(part));
    EXPECT_FALSE(numbers.error().remedy.empty());
  }

  std::filesystem::path write(const std::string& name, const std::string& content) {
    std::ofstream{folder.path / name, std::ios::binary} << content;
    return folder.path / name;
  }

  test_folder folder;
  std::unique_ptr<skillset> skills = make_text_embedding_skillset();
  std::unique_ptr<loaded_model> model;
  const std::vector<std::string> texts{"Hello, world", "", "a much longer text, so that the first two are padded",
                                       "Hello, world"};
};

TEST_F(encoder_file, an_ir_embeds_like_the_weights_it_came_from) {
  const tiny_bert bert;
  bert.write_weights(folder.path / "model.safetensors");
  bert.write_config(folder.path / "config.json");
  auto direct = minilm_settings();
  direct.files = {{"weights", folder.path / "model.safetensors"},
                  {"config", folder.path / "config.json"},
                  {"tokenizer", minilm / "tokenizer.json"}};
  direct.options["max_tokens"] = std::int64_t{0};
  const auto expected_numbers = embed(direct, texts);
  ASSERT_TRUE(expected_numbers) << expected_numbers.error().cause;
  ov::serialize(*build_bert(bert.config, *safetensors_file::open(folder.path / "model.safetensors")),
                folder.path / "encoder.xml", folder.path / "other_name.bin");
  auto settings = settings_for(folder.path / "encoder.xml");
  settings.files["weights"] = folder.path / "other_name.bin";
  const auto numbers = embed(settings, texts);
  ASSERT_TRUE(numbers) << numbers.error().cause;
  EXPECT_EQ(model->describe().outputs.front().shape, (std::vector<std::int64_t>{-1, 16}));
  EXPECT_LE(largest_difference(*numbers, *expected_numbers), 1e-6F);
}

TEST_F(encoder_file, an_onnx_file_is_pooled_without_its_padding) {
  auto settings = settings_for(write("ids.onnx", onnx_of_ids()));
  settings.options["normalize"] = false;
  const auto mean = embed(settings, texts);
  ASSERT_TRUE(mean) << mean.error().cause;
  ASSERT_EQ(mean->size(), 4u);
  const float hello = (101 + 7592 + 1010 + 2088 + 102) / 5.F;
  EXPECT_FLOAT_EQ((*mean)[0], hello);
  EXPECT_FLOAT_EQ((*mean)[1], (101 + 102) / 2.F);
  EXPECT_FLOAT_EQ((*mean)[3], hello);
  settings.options["pooling"] = std::string{"cls"};
  EXPECT_THAT(*embed(settings, texts), testing::Each(101));
  settings.options["normalize"] = true;
  EXPECT_THAT(*embed(settings, texts), testing::Each(1));
}

TEST_F(encoder_file, an_output_that_is_pooled_already_stays_so) {
  const auto ids = std::make_shared<ov::op::v0::Parameter>(ov::element::i32, ov::PartialShape{-1, -1});
  const auto mask = std::make_shared<ov::op::v0::Parameter>(ov::element::i32, ov::PartialShape{-1, -1});
  ids->get_output_tensor(0).set_names({"input_ids"});
  mask->get_output_tensor(0).set_names({"attention_mask"});
  const auto axis = ov::op::v0::Constant::create(ov::element::i64, {1}, {1});
  const auto count = std::make_shared<ov::op::v1::ReduceSum>(mask, axis, true);
  const auto pair = std::make_shared<ov::op::v0::Concat>(
      ov::OutputVector{count, std::make_shared<ov::op::v1::ReduceMax>(ids, axis, true)}, 1);
  pair->get_output_tensor(0).set_names({"sentence_embedding"});
  const auto other = std::make_shared<ov::op::v0::Result>(ids);
  ov::serialize(std::make_shared<ov::Model>(ov::ResultVector{other, std::make_shared<ov::op::v0::Result>(pair)},
                                            ov::ParameterVector{ids, mask}),
                folder.path / "pooled.xml");
  auto settings = settings_for(folder.path / "pooled.xml");
  settings.options["normalize"] = false;
  const auto numbers = embed(settings, {"Hello, world", ""});
  ASSERT_TRUE(numbers) << numbers.error().cause;
  EXPECT_THAT(*numbers, testing::ElementsAre(5, 7592, 2, 102));
}

TEST_F(encoder_file, refuses_what_is_no_encoder) {
  expect_error(settings_for(write("model.bin", "x")), "extension '.bin'");
  expect_error(settings_for(write("empty.xml", "")), "empty.xml' can't be read");
  expect_error(settings_for(write("garbage.xml", "<net><layers>")), "garbage.xml' can't be read");
  expect_error(settings_for(write("empty.onnx", "")), "empty.onnx' has the inputs none");
  expect_error(settings_for(write("garbage.onnx", "garbage")), "garbage.onnx' can't be read");
  expect_error(settings_for(folder.path / "nothing.xml"), "nothing.xml' can't be read");
  auto renamed = onnx_of_ids();
  for (auto i = renamed.find("input_ids"); i != std::string::npos; i = renamed.find("input_ids"))
    renamed.replace(i, 9, "input_odd");
  expect_error(settings_for(write("renamed.onnx", renamed)), "'input_odd'");
}

TEST_F(encoder_file, needs_to_know_the_longest_text) {
  auto settings = settings_for(write("ids.onnx", onnx_of_ids()));
  settings.options["max_tokens"] = std::int64_t{0};
  expect_error(settings, "how many tokens");
  std::ofstream{folder.path / "sentence.json"} << R"({"max_seq_length": 4})";
  settings.files["sentence_config"] = folder.path / "sentence.json";
  EXPECT_TRUE(embed(settings, texts));
}

}  // namespace
}  // namespace troupe
