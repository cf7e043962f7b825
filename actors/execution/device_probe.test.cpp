#include "actors/execution/device_probe.hpp"

#include <gtest/gtest.h>

#include <fstream>

namespace troupe {
namespace {

using words = std::vector<std::string>;

struct device_probe_test : testing::Test {
  void write(const std::string& file, const std::string& text) const { std::ofstream{root / file} << text; }
  void quota(const std::string& text) const { write("cpu.max", text); }

  ~device_probe_test() override { std::filesystem::remove_all(root); }

  std::filesystem::path root = [] {
    std::string name = testing::TempDir() + "cgroupXXXXXX";
    return std::filesystem::path{mkdtemp(name.data())};
  }();
};

TEST_F(device_probe_test, the_cores_are_what_the_affinity_allows_without_a_quota) {
  const auto all = usable_cores(root);
  EXPECT_GE(all, 1u);
  quota("max 100000");
  EXPECT_EQ(usable_cores(root), all);
  quota("garbage");
  EXPECT_EQ(usable_cores(root), all);
  quota("99900000 100000");
  EXPECT_EQ(usable_cores(root), all);
}

TEST_F(device_probe_test, the_cores_are_bounded_by_the_quota_and_at_least_one) {
  quota("100000 100000");
  EXPECT_EQ(usable_cores(root), 1u);
  quota("1000 100000");
  EXPECT_EQ(usable_cores(root), 1u);
}

TEST_F(device_probe_test, the_memory_is_the_machines_or_what_the_group_allows) {
  write("meminfo", "MemTotal:        2048 kB\nMemFree:          512 kB\n");
  EXPECT_EQ(usable_memory(root, root / "meminfo"), 2048u << 10);
  write("memory.max", "max\n");
  EXPECT_EQ(usable_memory(root, root / "meminfo"), 2048u << 10);
  write("memory.max", "1048576\n");
  EXPECT_EQ(usable_memory(root, root / "meminfo"), 1u << 20);
  EXPECT_EQ(usable_memory(root / "nowhere", root / "nothing"), 0u);
}

TEST_F(device_probe_test, the_processor_is_called_what_it_calls_itself) {
  write("cpuinfo",
        "processor\t: 0\nmodel\t\t: 17\nmodel name\t: A Processor: 9000\n\nprocessor\t: 1\nmodel name\t: Another\n");
  EXPECT_EQ(processor_name(root / "cpuinfo"), "A Processor: 9000");
}

TEST_F(device_probe_test, the_instruction_sets_are_those_that_matter_from_the_narrow_to_the_wide) {
  write("cpuinfo", "flags\t\t: fpu avx512_bf16 avx2 avx sse4_2 avx512f avx512_vnni_x vmx\nvmx flags\t: amx_tile\n");
  EXPECT_EQ(instruction_sets(root / "cpuinfo"), (words{"sse4_2", "avx", "avx2", "avx512f", "avx512_bf16"}));
}

TEST_F(device_probe_test, what_cannot_be_read_is_not_made_up) {
  EXPECT_EQ(processor_name(root / "cpuinfo"), "");
  EXPECT_EQ(instruction_sets(root / "cpuinfo"), words{});
  write("cpuinfo", "model name\t:\nflags\t\t:\n");
  EXPECT_EQ(processor_name(root / "cpuinfo"), "");
  EXPECT_EQ(instruction_sets(root / "cpuinfo"), words{});
}

TEST(probe_devices, finds_the_cpu) {
  const auto devices = probe_devices();
  ASSERT_EQ(devices.size(), 1u);
  EXPECT_EQ(devices.front().name, "CPU");
  EXPECT_GE(devices.front().slots, 1u);
  EXPECT_EQ(devices.front().cores, devices.front().slots);
  EXPECT_TRUE(devices.front().runtimes.empty()) << "nobody was asked";
}

TEST(probe_devices, a_runtimes_cpu_is_the_cpu_and_what_else_it_finds_is_a_device) {
  const runtime_device cpu{"OpenVINO", "1.2", "CPU", "A Processor", {"FP32", "BF16"}};
  const runtime_device gpu{"OpenVINO", "1.2", "GPU.0", "A Card", {"FP16"}};
  const auto devices = probe_devices({cpu, gpu});
  ASSERT_EQ(devices.size(), 2u);
  EXPECT_EQ(devices[0].name, "CPU");
  EXPECT_EQ(devices[0].full_name, processor_name()) << "the machine's own word";
  EXPECT_EQ(devices[0].slots, usable_cores());
  EXPECT_EQ(devices[0].runtimes, std::vector{cpu});
  EXPECT_EQ(devices[1].name, "GPU.0");
  EXPECT_EQ(devices[1].full_name, "A Card");
  EXPECT_EQ(devices[1].slots, 1u);
  EXPECT_EQ(devices[1].cores, 0u);
  EXPECT_EQ(devices[1].bytes, 0u);
  EXPECT_EQ(devices[1].runtimes, std::vector{gpu});
}

TEST(add_runtime_devices, a_device_is_one_however_many_find_it_and_a_runtime_is_named_once) {
  const runtime_device one{"OpenVINO", "1.2", "GPU"};
  const runtime_device newer{"OpenVINO", "1.3", "GPU"};
  const runtime_device other{"Another", "9", "GPU"};
  std::vector<device> devices;
  add_runtime_devices(devices, {one, newer, one, other});
  ASSERT_EQ(devices.size(), 1u);
  EXPECT_EQ(devices.front().runtimes, (std::vector{one, newer, other}));
}

}  // namespace
}  // namespace troupe
