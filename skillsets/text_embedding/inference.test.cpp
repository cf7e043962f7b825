#include "skillsets/text_embedding/inference.hpp"

#include <gmock/gmock.h>

#include <openvino/runtime/core.hpp>

namespace troupe {
namespace {

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
