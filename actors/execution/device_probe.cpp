#include "actors/execution/device_probe.hpp"

#include <sched.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <sstream>
#include <string_view>
#include <thread>

namespace troupe {
namespace {

/// From the narrow to the wide.
constexpr std::array<std::string_view, 14> useful_sets{
    "sse4_2",   "avx",         "f16c",        "fma",         "avx2",     "avx_vnni", "avx512f",
    "avx512bw", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16"};

std::size_t affinity_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0)
    return std::max(1u, std::thread::hardware_concurrency());
  return static_cast<std::size_t>(CPU_COUNT(&set));
}

/// The quota of one control group in cores, such as 1.5 for `150000 100000`; nothing for `max` and unreadable files.
std::optional<double> quota_cores(const std::filesystem::path& file) {
  std::ifstream in{file};
  double quota = 0, period = 0;
  if (in >> quota >> period && quota > 0 && period > 0)
    return quota / period;
  return std::nullopt;
}

/// The path of this process's control group (v2) below the root, such as `/user.slice`.
std::filesystem::path own_group() {
  std::ifstream in{"/proc/self/cgroup"};
  for (std::string line; std::getline(in, line);)
    if (line.rfind("0::/", 0) == 0)
      return line.substr(4);
  return {};
}

/// Calls `visit` with the folder of each control group from the root to the process's own: a limit of any binds it.
template <class Visit>
void for_each_group(std::filesystem::path group, Visit visit) {
  visit(group);
  for (const auto& part : own_group())
    visit(group /= part);
}

/// `MemTotal` in bytes; 0 when it can't be read.
std::uint64_t total_memory(const std::filesystem::path& meminfo) {
  std::ifstream in{meminfo};
  std::string key;
  for (std::uint64_t kib = 0; in >> key >> kib; in.ignore(64, '\n'))
    if (key == "MemTotal:")
      return kib << 10;
  return 0;
}

/// What stands behind the colon in the first line of `/proc/cpuinfo` that begins with `key`; the cores of one machine
/// hardly differ in it.
std::string first_line_of(const std::filesystem::path& cpuinfo, std::string_view key) {
  std::ifstream in{cpuinfo};
  for (std::string line; std::getline(in, line);)
    if (const auto colon = line.find(": "); line.starts_with(key) && colon != std::string::npos)
      return line.substr(colon + 2);
  return {};
}

}  // namespace

std::size_t usable_cores(const std::filesystem::path& cgroup_root) {
  auto cores = static_cast<double>(affinity_cores());
  for_each_group(cgroup_root,
                 [&](const auto& group) { cores = std::min(cores, quota_cores(group / "cpu.max").value_or(cores)); });
  return std::max<std::size_t>(1, static_cast<std::size_t>(std::ceil(cores)));
}

std::uint64_t usable_memory(const std::filesystem::path& cgroup_root, const std::filesystem::path& meminfo) {
  auto bytes = total_memory(meminfo);
  for_each_group(cgroup_root, [&](const auto& group) {
    std::ifstream in{group / "memory.max"};
    if (std::uint64_t most = 0; in >> most)  // not of `max`
      bytes = bytes == 0 ? most : std::min(bytes, most);
  });
  return bytes;
}

std::string processor_name(const std::filesystem::path& cpuinfo) {
  return first_line_of(cpuinfo, "model name\t");
}

std::vector<std::string> instruction_sets(const std::filesystem::path& cpuinfo) {
  std::istringstream flags{first_line_of(cpuinfo, "flags\t")};
  const std::set<std::string, std::less<>> has{std::istream_iterator<std::string>{flags}, {}};
  std::vector<std::string> result;
  for (const auto name : useful_sets)
    if (has.contains(name))
      result.emplace_back(name);
  return result;
}

void add_runtime_devices(std::vector<device>& devices, const std::vector<runtime_device>& found) {
  for (const auto& one : found) {
    auto known = std::find_if(devices.begin(), devices.end(), [&](const auto& d) { return d.name == one.name; });
    if (known == devices.end())
      known = devices.insert(known, {.name = one.name, .slots = 1, .full_name = one.full_name});
    // Skillsets may share a runtime.
    if (std::find(known->runtimes.begin(), known->runtimes.end(), one) == known->runtimes.end())
      known->runtimes.push_back(one);
  }
}

std::vector<device> probe_devices(const std::vector<runtime_device>& found) {
  const auto cores = usable_cores();
  std::vector<device> devices{{.name = "CPU",
                               .slots = cores,
                               .bytes = usable_memory(),
                               .cores = cores,
                               .full_name = processor_name(),
                               .instruction_sets = instruction_sets()}};
  add_runtime_devices(devices, found);
  return devices;
}

}  // namespace troupe
