#include "skillsets/text_generation/text_generation.hpp"

#include "skillsets/sdk/testing.hpp"
#include "skillsets/text_generation/json_text.hpp"
#include "skillsets/text_generation/llama_library.hpp"

#include <gtest/gtest.h>

#include <unistd.h>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace troupe {
namespace {

using testing_support::respond;

/// SmolLM2 with all options as they are by default, but for some.
model_settings smollm2(skillset& skills, const parameter_map& options = {}) {
  model_settings settings;
  settings.name = "smollm2";
  settings.files["weights"] = TROUPE_MODEL_SMOLLM2 "/SmolLM2-135M-Instruct.Q4_1.gguf";
  settings.device = "CPU";
  for (const auto& option : skills.options())
    settings.options[option.name] = option.fallback;
  for (const auto& [name, value] : options)
    settings.options[name] = value;
  return settings;
}

struct text_generation_test : testing::Test {
  std::unique_ptr<loaded_model> load(const parameter_map& options) {
    auto model = skills->load(smollm2(*skills, options), {});
    EXPECT_TRUE(model) << model.error().cause;
    return *std::move(model);
  }

  error refused(const model_settings& settings, const cancel_token& token = {}) {
    const auto model = skills->load(settings, token);
    EXPECT_FALSE(model);
    return model ? error{} : model.error();
  }

  const std::unique_ptr<skillset> skills = make_text_generation_skillset();
};

inference_request texts(const std::vector<std::string>& all, parameter_map parameters = {}) {
  std::string bytes;
  for (const auto& text : all)
    append_bytes(bytes, text);
  return {{tensor{"text", datatype::bytes, {static_cast<std::int64_t>(all.size())}, buffer::take(std::move(bytes))}},
          std::move(parameters)};
}

std::vector<std::vector<float>> vectors_of(const inference_response& response) {
  const auto& output = response.outputs.front();
  std::vector<std::vector<float>> result;
  for (std::int64_t i = 0; i != output.shape[0]; ++i) {
    auto& row = result.emplace_back(static_cast<std::size_t>(output.shape[1]));
    std::memcpy(row.data(), output.data.bytes().data() + static_cast<std::size_t>(i * output.shape[1]) * sizeof(float),
                row.size() * sizeof(float));
  }
  return result;
}

double cosine(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i != a.size(); ++i)
    sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

TEST_F(text_generation_test, warms_up) {
  const auto model = load({});
  const auto worker = *model->make_instance();
  const auto answer = respond(*worker, model->warm_up());
  ASSERT_TRUE(answer) << answer.error().cause;
  EXPECT_TRUE(model->describe().decoupled);
}

TEST_F(text_generation_test, embeds) {
  const auto model =
      load({{"task", std::string{"embedding"}}, {"pooling", std::string{"mean"}}, {"context", std::int64_t{256}}});
  EXPECT_TRUE(model->describe().batches);
  EXPECT_EQ(model->describe().outputs.front().shape, (std::vector<std::int64_t>{-1, 576}));
  const auto worker = *model->make_instance();
  const std::vector<std::string> all{"The cat sleeps on the sofa.", "A kitten naps on the couch.",
                                     "Interest rates rose again in March."};
  const auto together = respond(*worker, texts(all));
  ASSERT_TRUE(together) << together.error().cause;
  const auto vectors = vectors_of(*together);
  EXPECT_GT(cosine(vectors[0], vectors[1]), cosine(vectors[0], vectors[2]));
  for (std::size_t i = 0; i != all.size(); ++i) {
    EXPECT_NEAR(cosine(vectors[i], vectors[i]), 1, 1e-5);
    EXPECT_GT(cosine(vectors[i], vectors_of(*respond(*worker, texts({all[i]}))).front()), 0.999);
  }
}

TEST_F(text_generation_test, embeds_tokens_and_counts_and_cuts) {
  const auto model =
      load({{"task", std::string{"embedding"}}, {"pooling", std::string{"mean"}}, {"context", std::int64_t{16}}});
  const auto worker = *model->make_instance();
  const auto weights = *llama::load(smollm2(*skills), {});
  const auto ids = llama::tokenize(*llama_model_get_vocab(weights.get()), "seven small words stand here", true, false);
  const auto by_ids = respond(*worker, texts({json(ids).dump()}, {{"prompt_format", std::string{"tokens"}}}));
  const auto by_text = respond(*worker, texts({"seven small words stand here"}));
  ASSERT_TRUE(by_ids && by_text);
  EXPECT_EQ(vectors_of(*by_ids), vectors_of(*by_text));
  EXPECT_EQ(std::get<std::int64_t>(by_text->parameters.at("prompt_tokens")), static_cast<std::int64_t>(ids.size()));
  EXPECT_EQ(std::get<std::int64_t>(by_text->parameters.at("truncated_texts")), 0);
  std::string longer;
  while (longer.size() < 100'000)
    longer += "word ";
  const auto cut = respond(*worker, texts({longer, "short"}));
  ASSERT_TRUE(cut) << cut.error().cause;
  EXPECT_EQ(std::get<std::int64_t>(cut->parameters.at("truncated_texts")), 1);
  EXPECT_EQ(std::get<std::int64_t>(cut->parameters.at("prompt_tokens")), 17);
  for (const auto* wrong : {"[]", "[-1]", "[1.5]", "x", "[99999999]"})
    EXPECT_EQ(respond(*worker, texts({wrong}, {{"prompt_format", std::string{"tokens"}}})).error().code,
              status_code::invalid_argument);
  EXPECT_EQ(respond(*worker, texts({"a\xFF"})).error().code, status_code::invalid_argument);
  EXPECT_EQ(respond(*worker, texts({"a"}, {{"frob", true}})).error().code, status_code::invalid_argument);
}

TEST_F(text_generation_test, refuses_options_that_do_not_fit_together) {
  EXPECT_NE(refused(smollm2(*skills, {{"context", std::int64_t{1'000'000}}})).cause.find("'context'"),
            std::string::npos);
  EXPECT_NE(refused(smollm2(*skills, {{"context", std::int64_t{4096}}, {"cache_tokens", std::int64_t{2048}}}))
                .cause.find("'cache_tokens'"),
            std::string::npos);
}

TEST_F(text_generation_test, refuses_what_is_no_model) {
  auto settings = smollm2(*skills);
  const auto file =
      std::filesystem::temp_directory_path() / ("troupe-no-model-" + std::to_string(::getpid()) + ".gguf");
  std::ofstream{file} << "GGUF and nothing else";
  settings.files["weights"] = file;
  EXPECT_EQ(refused(settings).code, status_code::invalid_argument);
  std::filesystem::remove(file);
  settings.files.clear();
  EXPECT_EQ(refused(settings).code, status_code::not_found);
  settings = smollm2(*skills);
  settings.device = "Vulkan7";
  EXPECT_EQ(refused(settings).code, status_code::unavailable);
  cancel_scope scope;
  scope.cancel();
  EXPECT_EQ(refused(smollm2(*skills), scope.token()).code, status_code::cancelled);
}

}  // namespace
}  // namespace troupe
