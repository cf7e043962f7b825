#include "actors/execution/device_probe.hpp"

#include <gtest/gtest.h>

#include <fstream>

namespace troupe {
namespace {

struct usable_cores_test : testing::Test {
  void quota(const std::string& text) { std::ofstream{root / "cpu.max"} << text; }

  ~usable_cores_test() override { std::filesystem::remove_all(root); }

  std::filesystem::path root = [] {
    std::string name = testing::TempDir() + "cgroupXXXXXX";
    return std::filesystem::path{mkdtemp(name.data())};
  }();
};

TEST_F(usable_cores_test, is_what_the_affinity_allows_without_a_quota) {
  const auto all = usable_cores(root);
  EXPECT_GE(all, 1u);
  quota("max 100000");
  EXPECT_EQ(usable_cores(root), all);
  quota("garbage");
  EXPECT_EQ(usable_cores(root), all);
  quota("99900000 100000");
  EXPECT_EQ(usable_cores(root), all);
}

TEST_F(usable_cores_test, is_bounded_by_the_quota_and_at_least_one) {
  quota("100000 100000");
  EXPECT_EQ(usable_cores(root), 1u);
  quota("1000 100000");
  EXPECT_EQ(usable_cores(root), 1u);
}

TEST(probe_devices, finds_the_cpu) {
  const auto devices = probe_devices();
  ASSERT_EQ(devices.size(), 1u);
  EXPECT_EQ(devices.front().name, "CPU");
  EXPECT_GE(devices.front().slots, 1u);
}

}  // namespace
}  // namespace troupe
