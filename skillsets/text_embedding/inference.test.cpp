#include "skillsets/text_embedding/inference.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <memory>
#include <openvino/core/model.hpp>
#include <openvino/op/parameter.hpp>
#include <openvino/runtime/compiled_model.hpp>
#include <openvino/runtime/core.hpp>
#include <openvino/runtime/properties.hpp>

namespace troupe {
namespace {

TEST(openvino_devices, has_the_processor_with_what_it_can_do) {
  const auto devices = openvino_devices();
  ASSERT_TRUE(devices);
  const auto cpu =
      std::find_if(devices->begin(), devices->end(), [](const auto& found) { return found.name == "CPU"; });
  ASSERT_NE(cpu, devices->end());
  EXPECT_EQ(cpu->runtime, "OpenVINO");
  EXPECT_THAT(cpu->version, testing::MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+.*"));
  EXPECT_NE(cpu->full_name, "");
  EXPECT_THAT(cpu->capabilities, testing::Contains("FP32"));
}

TEST(openvino_devices, are_those_that_models_can_be_loaded_on) {
  ov::Core core;
  const auto devices = openvino_devices();
  ASSERT_TRUE(devices);
  for (const auto& found : *devices)
    EXPECT_TRUE(check_device(core, found.name)) << found.name;
}

TEST(compile, gives_a_model_as_many_threads_as_it_may_use) {
  ov::Core core;
  const auto input = std::make_shared<ov::op::v0::Parameter>(ov::element::f32, ov::Shape{1});
  const auto model = std::make_shared<ov::Model>(ov::OutputVector{input->output(0)}, ov::ParameterVector{input});
  for (const std::size_t threads : {1, 2}) {
    auto compiled = compile(core, model, {.device = "CPU", .threads = threads});
    ASSERT_TRUE(compiled) << compiled.error().cause;
    EXPECT_EQ(compiled->get_property(ov::inference_num_threads), static_cast<std::int32_t>(threads));
    EXPECT_EQ(compiled->get_property(ov::num_streams).num, 1);
  }
}

TEST(check_device, knows_the_processor) {
  ov::Core core;
  EXPECT_TRUE(check_device(core, "CPU"));
}

TEST(check_device, names_what_there_is) {
  ov::Core core;
  for (const auto* device : {"", "C", "NPU.7", "AUTO", "cpu"}) {
    const auto there = check_device(core, device);
    ASSERT_FALSE(there) << device;
    EXPECT_EQ(there.error().code, status_code::unavailable);
    EXPECT_THAT(there.error().remedy, testing::HasSubstr("CPU"));
  }
}

}  // namespace
}  // namespace troupe
