#include "skillsets/text_embedding/inference.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <openvino/runtime/core.hpp>

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
