#include "actors/gateway/grpc/device_messages.hpp"

#include "actors/execution/device_actor.hpp"

#include <gtest/gtest.h>

namespace troupe {
namespace {

TEST(device_extension, says_what_is_known_and_nothing_else) {
  const device cpu{"CPU",
                   3,
                   4096,
                   2,
                   "A & B",
                   {"avx", "avx2"},
                   {{"One", "1", "CPU", "", {"FP32", "INT8"}}, {"Two", "2", "CPU", "", {"INT8", "BF16"}}}};
  EXPECT_EQ(device_extension({cpu, nullptr}),
            "troupe.device/CPU?slots=3&cores=2&bytes=4096&instruction_sets=avx,avx2&capabilities=FP32,INT8,BF16");
  EXPECT_EQ(device_extension({{"GPU.0", 1}, nullptr}), "troupe.device/GPU.0?slots=1");
}

}  // namespace
}  // namespace troupe
