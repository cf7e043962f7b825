#include "actors/gateway/grpc/model_config.hpp"

#include "actors/serving/testing.hpp"

#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

namespace troupe {
namespace {

struct model_config_test : testing::Test {
  model_config_test() {
    model_folder folder;
    folder.name = "m";
    folder.skills = testing_support::borrowed(skills);
    folder.options = {{"flag", true}, {"count", std::int64_t{3}}, {"ratio", 0.5}, {"mode", std::string{"fast"}}};
    model = std::make_shared<served_model>(std::move(folder), [] {});
    testing_support::make_ready(*model, {{{"in", datatype::fp32, {-1, 4}}}, {{"out", datatype::fp32, {-1, 4}}}, true});
  }

  /// What a load with this config asks for, or how that is wrong.
  std::string asked(const std::string& config) const {
    inference::RepositoryModelLoadRequest request;
    (*request.mutable_parameters())["config"].set_string_param(config);
    const auto settings = settings_of(request, model.get());
    return settings ? *settings : settings.error().message();
  }

  testing_support::scripted_skillset skills;
  std::shared_ptr<served_model> model;
};

TEST_F(model_config_test, asks_for_nothing_with_what_is_there_already) {
  EXPECT_EQ(asked("{}"), "");
  inference::ModelConfig now;
  describe_config(*model, now);
  std::string json;
  ASSERT_TRUE(google::protobuf::util::MessageToJsonString(now, &json).ok());
  const auto settings = asked(json);
  EXPECT_EQ(settings.find("config"), std::string::npos) << settings;
  EXPECT_NE(settings.find("instances = 1"), std::string::npos) << settings;
}

TEST_F(model_config_test, speaks_of_the_same_things_in_other_words) {
  EXPECT_EQ(asked(R"({"max_batch_size": 8})"), "[limits]\nitems = 8");
  EXPECT_EQ(asked(R"({"instance_group": [{"count": 3, "kind": "KIND_CPU"}]})"), "instances = 3");
  EXPECT_EQ(asked(R"({"dynamic_batching": {"preferred_batch_size": [4, 16, 8], "max_queue_delay_microseconds": 500}})"),
            "[batching]\nmax_batch = 16\nmax_delay = '500us'");
  EXPECT_EQ(asked(R"({"dynamic_batching": {"priority_levels": 5, "default_priority_level": 3, "default_queue_policy":
                      {"max_queue_size": 9, "default_timeout_microseconds": 1000000}}})"),
            "[queue]\ncapacity = 9\ndefault_priority = 3\nmax_wait = '1000000us'\npriorities = 5");
}

TEST_F(model_config_test, parameters_are_options_of_their_type) {
  EXPECT_EQ(asked(R"({"parameters": {"count": {"string_value": "4"}, "mode": {"string_value": "4"}}})"),
            "[options]\ncount = 4\nmode = '4'");
  EXPECT_EQ(asked(R"({"parameters": {"flag": {"string_value": "false"}}})"), "[options]\nflag = false");
  for (const std::string wrong : {"x", "", R"(1\nother = 2)", "{}", R"(\"1\")"})
    EXPECT_NE(asked(R"({"parameters": {"count": {"string_value": ")" + wrong + R"("}}})").find("parameter 'count'"),
              std::string::npos)
        << wrong;
  EXPECT_NE(asked(R"({"parameters": {"colour": {"string_value": "1"}}})").find("no option 'colour'"),
            std::string::npos);
}

TEST_F(model_config_test, what_cannot_be_had_is_refused) {
  for (const auto* wrong :
       {"", "[]", "{", R"({"max_batch_size": "many"})", R"({"colour": 1})", R"({"name": "other"})",
        R"({"platform": "tensorrt_plan"})", R"({"input": [{"name": "in", "dims": [5]}]})",
        R"({"instance_group": [{"count": 1}, {"count": 1}]})", R"({"instance_group": [{"count": 1, "gpus": [0]}]})",
        R"({"instance_group": [{"kind": "KIND_GPU"}]})", R"({"dynamic_batching": {"preserve_ordering": true}})",
        R"({"sequence_batching": {}})", R"({"model_warmup": [{"name": "w"}]})"})
    EXPECT_EQ(asked(wrong).rfind("config: ", 0), 0u) << wrong << "\n" << asked(wrong);
}

TEST_F(model_config_test, a_load_has_settings_or_a_config) {
  inference::RepositoryModelLoadRequest request;
  EXPECT_EQ(*settings_of(request, nullptr), "");
  auto& parameters = *request.mutable_parameters();
  parameters["settings"].set_string_param("instances = 2");
  EXPECT_EQ(*settings_of(request, nullptr), "instances = 2");
  parameters["config"].set_string_param("{}");
  EXPECT_EQ(settings_of(request, nullptr).error().code, status_code::invalid_argument);
  parameters.erase("config");
  parameters["settings"].set_bool_param(true);
  EXPECT_EQ(settings_of(request, nullptr).error().code, status_code::invalid_argument);
  parameters.clear();
  parameters["file:1/model.onnx"].set_bytes_param("x");
  EXPECT_EQ(settings_of(request, nullptr).error().code, status_code::unimplemented);
}

}  // namespace
}  // namespace troupe
