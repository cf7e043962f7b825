#include "skillsets/text_embedding/bert_encoder.hpp"

#include "skillsets/text_embedding/inference.hpp"
#include "skillsets/text_embedding/test_model.hpp"
#include "skillsets/text_embedding/tiny_bert.hpp"

#include <gmock/gmock.h>

#include <openvino/runtime/compiled_model.hpp>
#include <openvino/runtime/core.hpp>

namespace troupe {
namespace {

using testing::HasSubstr;

constexpr std::size_t tokens = 5;

struct bert_encoder : testing::Test {
  expected<std::shared_ptr<ov::Model>> build(const tiny_bert& encoder, std::size_t misalignment = 0) {
    encoder.write_weights(folder.path / "model.safetensors", misalignment);
    const auto weights = safetensors_file::open(folder.path / "model.safetensors");
    EXPECT_TRUE(weights) << weights.error().cause;
    return build_bert(encoder.config, *weights);
  }

  std::vector<float> run(const expected<std::shared_ptr<ov::Model>>& model, std::vector<std::int64_t> mask = {}) {
    EXPECT_TRUE(model) << model.error().cause;
    ov::Core core;
    auto compiled = compile(core, *model, {"CPU"});
    EXPECT_TRUE(compiled) << compiled.error().cause;
    cancellable_request runner{*compiled};
    auto& request = runner.get();
    std::vector<std::int64_t> ids{101, 7592, 1010, 2088, 102};
    std::vector<std::int64_t> types{0, 0, 1, 1, 1};
    if (mask.empty())
      mask.assign(tokens, 1);
    for (const auto& [name, data] :
         {std::pair{"input_ids", &ids}, {"attention_mask", &mask}, {"token_type_ids", &types}})
      request.set_tensor(name, ov::Tensor{ov::element::i64, {1, tokens}, data->data()});
    EXPECT_TRUE(runner.run({}));
    const auto output = request.get_tensor("last_hidden_state");
    return {output.data<const float>(), output.data<const float>() + output.get_size()};
  }

  void expect_error(const tiny_bert& encoder, const std::string& part) {
    const auto model = build(encoder);
    ASSERT_FALSE(model);
    EXPECT_EQ(model.error().code, status_code::invalid_argument);
    EXPECT_THAT(model.error().cause, HasSubstr(part));
  }

  test_folder folder;
  tiny_bert bert;
};

TEST_F(bert_encoder, names_with_prefix_and_from_tensorflow_mean_the_same) {
  const auto numbers = run(build(bert));
  ASSERT_EQ(numbers.size(), tokens * 16);
  EXPECT_EQ(run(build(bert.renamed([](auto name) { return "bert." + name; }))), numbers);
  EXPECT_EQ(run(build(bert.renamed([](auto name) {
              for (const auto& [theirs, ours] :
                   {std::pair{"LayerNorm.weight", "LayerNorm.gamma"}, {"LayerNorm.bias", "LayerNorm.beta"}})
                if (const auto i = name.find(theirs); i != std::string::npos)
                  name.replace(i, std::string::npos, ours);
              return name;
            }))),
            numbers);
}

TEST_F(bert_encoder, weights_may_lie_anywhere) {
  EXPECT_EQ(run(build(bert, 3)), run(build(bert)));
}

TEST_F(bert_encoder, reads_bf16) {
  const auto numbers = run(build(bert));
  for (auto& [name, weight] : bert.weights) {
    weight.type = "BF16";
    std::string halves;  // the upper two of four bytes
    for (std::size_t i = 0; i != weight.bytes.size(); i += 4)
      halves += weight.bytes.substr(i + 2, 2);
    weight.bytes = halves;
  }
  const auto difference = largest_difference(run(build(bert)), numbers);
  EXPECT_LT(difference, 0.1F);
  EXPECT_GT(difference, 0.F);
}

TEST_F(bert_encoder, reads_f16) {
  for (auto& [name, weight] : bert.weights)
    weight.bytes.replace(0, std::string::npos, weight.bytes.size(), '\0');
  auto halves = bert;
  for (auto& [name, weight] : halves.weights) {
    weight.type = "F16";
    weight.bytes.resize(weight.bytes.size() / 2);
  }
  auto& last = halves.weights["encoder.layer.1.output.LayerNorm.bias"];
  last.bytes.replace(0, 2, "\x00\x3e", 2);  // 1.5
  EXPECT_EQ(run(build(halves))[0], 1.5F);
  EXPECT_EQ(run(build(halves))[1], 0.F);
}

TEST_F(bert_encoder, padding_changes_nothing) {
  const auto model = build(bert);
  auto first = run(model, {1, 1, 1, 0, 0});
  auto& row = bert.weights["embeddings.word_embeddings.weight"].bytes;
  row.replace(2088 * 16 * 4, 16 * 4, 16 * 4, '\0');  // the word of the fourth token
  auto second = run(build(bert), {1, 1, 1, 0, 0});
  first.resize(3 * 16);
  second.resize(3 * 16);
  EXPECT_EQ(first, second);
}

TEST_F(bert_encoder, names_the_tensor_that_is_wrong) {
  const std::string name = "encoder.layer.1.attention.self.key.weight";
  const auto good = bert;
  bert.weights.erase(name);
  expect_error(bert, "'" + name + "' is missing");
  bert = good;
  bert.weights[name].shape = {8, 32};
  expect_error(bert, "'" + name + "' has the shape [8, 32] where the config wants [16, 16]");
  bert = good;
  bert.weights[name].type = "I32";
  expect_error(bert, "'" + name + "' has the type I32");
  bert = good;
  bert.config.num_hidden_layers = 3;
  expect_error(bert, "encoder.layer.2.");
  bert = good;
  bert.config.vocab_size = 30523;
  expect_error(bert, "word_embeddings");
}

}  // namespace
}  // namespace troupe
