#pragma once

#include "skillsets/sdk/skillset.hpp"
#include "skillsets/text_embedding/text_embedding.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace troupe {

/// A folder for one test, removed with it.
struct test_folder {
  test_folder()
      : path(std::filesystem::path{testing::TempDir()} /
             (std::string{"text_embedding_"} + testing::UnitTest::GetInstance()->current_test_info()->name() + "_" +
              std::to_string(::getpid()))) {
    std::filesystem::create_directories(path);
  }
  test_folder(const test_folder&) = delete;
  test_folder& operator=(const test_folder&) = delete;
  ~test_folder() { std::filesystem::remove_all(path); }

  std::filesystem::path path;
};

inline const std::filesystem::path minilm{TROUPE_MODEL_MINILM};

/// MiniLM as the reference runs it.
inline model_settings minilm_settings() {
  model_settings settings;
  settings.name = "all-minilm-l6-v2";
  settings.folder = minilm;
  settings.files = {{"weights", minilm / "model.safetensors"},
                    {"config", minilm / "config.json"},
                    {"tokenizer", minilm / "tokenizer.json"}};
  for (const auto& option : make_text_embedding_skillset()->options())
    settings.options[option.name] = option.fallback;
  settings.options["max_tokens"] = std::int64_t{256};
  settings.device = "CPU";
  settings.instances = 2;
  return settings;
}

inline inference_request request_of(std::span<const std::string> texts) {
  std::string data;
  for (const auto& text : texts)
    append_bytes(data, text);
  return {{tensor{"text", datatype::bytes, {static_cast<std::int64_t>(texts.size())}, buffer::take(std::move(data))}},
          {}};
}

/// The numbers of the one output of a response that has to be there.
inline std::vector<float> numbers_of(const inference_response& response) {
  const auto bytes = response.outputs.front().data.bytes();
  std::vector<float> numbers(bytes.size() / sizeof(float));
  if (!numbers.empty())
    std::memcpy(numbers.data(), bytes.data(), bytes.size());
  return numbers;
}

inline std::vector<float> numbers_of(const expected<inference_response>& response) {
  EXPECT_TRUE(response) << to_string(response.error());
  return response ? numbers_of(*response) : std::vector<float>{};
}

inline std::int64_t truncated_of(const inference_response& response) {
  return std::get<std::int64_t>(response.parameters.at("truncated_texts"));
}

/// The largest difference between two vectors' numbers; infinite when they are not equally many.
inline float largest_difference(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size())
    return std::numeric_limits<float>::infinity();
  float largest = 0;
  for (std::size_t i = 0; i != a.size(); ++i)
    largest =
        std::max(largest, std::isnan(a[i] - b[i]) ? std::numeric_limits<float>::infinity() : std::abs(a[i] - b[i]));
  return largest;
}

}  // namespace troupe
