// The vectors of the reference implementation, as tools/golden_embeddings.py wrote them down.

#include "skillsets/text_embedding/test_model.hpp"

#include "skillsets/sdk/testing.hpp"

#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

namespace troupe {
namespace {

constexpr float tolerance = 1e-5F;
constexpr std::size_t dimension = 384;

struct golden : testing::Test {
  golden() {
    const std::filesystem::path folder{TROUPE_GOLDEN};
    std::ifstream file{folder / "texts.json"};
    const auto description = nlohmann::json::parse(file);
    for (const auto& entry : description["texts"]) {
      texts.push_back(entry["text"]);
      truncated += entry["tokens"] > description["max_tokens"] ? 1 : 0;
    }
    expected_numbers.resize(texts.size() * dimension);
    std::ifstream numbers{folder / "vectors.bin", std::ios::binary};
    numbers.read(reinterpret_cast<char*>(expected_numbers.data()),
                 static_cast<std::streamsize>(expected_numbers.size() * sizeof(float)));
    EXPECT_TRUE(numbers);
    EXPECT_EQ(numbers.peek(), EOF);
  }

  void load(const model_settings& settings) {
    auto loaded = skills->load(settings, {});
    ASSERT_TRUE(loaded) << to_string(loaded.error());
    model = *std::move(loaded);
    worker = *model->make_instance();
  }

  inference_response run(std::span<const std::string> some) {
    auto response = testing_support::respond(*worker, request_of(some), {});
    EXPECT_TRUE(response) << to_string(response.error());
    return *response;
  }

  std::span<const float> reference(std::size_t text) const {
    return std::span{expected_numbers}.subspan(text * dimension, dimension);
  }

  std::vector<std::string> texts;
  std::vector<float> expected_numbers;
  std::int64_t truncated = 0;
  std::unique_ptr<skillset> skills = make_text_embedding_skillset();
  std::unique_ptr<loaded_model> model;
  std::unique_ptr<instance> worker;
};

TEST_F(golden, all_in_one_request) {
  ASSERT_EQ(texts.size(), 24u);
  load(minilm_settings());
  const auto response = run(texts);
  ASSERT_EQ(response.outputs.size(), 1u);
  EXPECT_EQ(response.outputs.front().name, "embedding");
  EXPECT_EQ(response.outputs.front().type, datatype::fp32);
  EXPECT_EQ(response.outputs.front().shape, (std::vector<std::int64_t>{24, dimension}));
  const auto difference = largest_difference(numbers_of(response), expected_numbers);
  std::cout << "largest difference: " << difference << '\n';
  RecordProperty("largest_difference", std::to_string(difference));
  EXPECT_LE(difference, tolerance);
  EXPECT_EQ(truncated_of(response), truncated);
  EXPECT_EQ(truncated, 1);
}

TEST_F(golden, each_alone) {
  load(minilm_settings());
  for (std::size_t i = 0; i != texts.size(); ++i)
    EXPECT_LE(largest_difference(numbers_of(run({&texts[i], 1})), reference(i)), tolerance) << i << ": " << texts[i];
}

TEST_F(golden, in_any_order_and_batch) {
  auto settings = minilm_settings();
  settings.options["batch_tokens"] = std::int64_t{40};
  load(settings);
  std::vector<std::string> turned{texts.rbegin(), texts.rend()};
  const auto numbers = numbers_of(run(turned));
  for (std::size_t i = 0; i != texts.size(); ++i)
    EXPECT_LE(largest_difference(std::span{numbers}.subspan(i * dimension, dimension), reference(23 - i)), tolerance);
}

TEST_F(golden, bf16_is_near) {
  auto settings = minilm_settings();
  settings.options["precision"] = std::string{"bf16"};
  auto loaded = skills->load(settings, {});
  if (!loaded) {
    // A processor without bf16 says so, and computes nothing.
    EXPECT_EQ(loaded.error().code, status_code::unavailable);
    EXPECT_NE(loaded.error().cause.find("f32"), std::string::npos) << loaded.error().cause;
    return;
  }
  model = *std::move(loaded);
  worker = *model->make_instance();
  const auto difference = largest_difference(numbers_of(run(texts)), expected_numbers);
  EXPECT_LE(difference, 2e-2F);
  EXPECT_GT(difference, tolerance);
}

}  // namespace
}  // namespace troupe
