#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace troupe {

/// A place where models can run, as the machine really has it.
struct device {
  std::string name;   ///< what model.toml calls it, such as `CPU`
  std::size_t slots;  ///< how many pieces of work it can run at once without oversubscription
};

/// The devices of this machine: the CPU, with as many slots as this process may use cores.
std::vector<device> probe_devices();

/// The cores that this process may use: those of its affinity mask, limited by the CPU quota of its control group
/// (cgroup v2 `cpu.max`, read below `cgroup_root`), rounded up; at least 1.
std::size_t usable_cores(const std::filesystem::path& cgroup_root = "/sys/fs/cgroup");

}  // namespace troupe
