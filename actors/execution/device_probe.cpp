#include "actors/execution/device_probe.hpp"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <optional>
#include <thread>

namespace troupe {
namespace {

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

std::vector<device> probe_devices() {
  return {{"CPU", usable_cores(), usable_memory()}};
}

}  // namespace troupe
