#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace troupe {

/// A place where models can run, as the machine really has it.
struct device {
  std::string name;         ///< what model.toml calls it, such as `CPU`
  std::size_t slots;        ///< how many threads can work on it at once without oversubscription
  std::uint64_t bytes = 0;  ///< of memory that this process may use there; 0: not known
};

/// The devices of this machine: the CPU, with as many slots as this process may use cores, and its memory.
std::vector<device> probe_devices();

/// The cores that this process may use: those of its affinity mask, limited by the CPU quota of its control group
/// (cgroup v2 `cpu.max`, read below `cgroup_root`), rounded up; at least 1.
std::size_t usable_cores(const std::filesystem::path& cgroup_root = "/sys/fs/cgroup");

/// The memory that this process may use, in bytes: the machine's, limited by that of its control group (cgroup v2
/// `memory.max`, read below `cgroup_root`); 0 when neither can be read.
std::uint64_t usable_memory(const std::filesystem::path& cgroup_root = "/sys/fs/cgroup",
                            const std::filesystem::path& meminfo = "/proc/meminfo");

}  // namespace troupe
