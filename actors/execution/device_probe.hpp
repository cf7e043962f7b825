#pragma once

#include "actors/execution/runtime_device.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace troupe {

/// A place where models can run, as the machine really has it. What can't be read is 0 or empty.
struct device {
  std::string name;                                ///< what model.toml calls it, such as `CPU`
  std::size_t slots;                               ///< how many threads may work on it at once
  std::uint64_t bytes = 0;                         ///< of memory that this process may use there
  std::size_t cores = 0;                           ///< that this process may use
  std::string full_name = {};                      ///< the product's
  std::vector<std::string> instruction_sets = {};  ///< that matter to inference, in Linux's words
  std::vector<runtime_device> runtimes = {};       ///< as which runtimes find it
};

/// The devices of this machine: the CPU, with as many slots as this process may use cores, and its memory; and
/// whatever else the runtimes have found.
std::vector<device> probe_devices(const std::vector<runtime_device>& found = {});

/// Notes which devices the runtimes have found; a name means the same device to all of them. What is new becomes a
/// device with one slot, as a runtime doesn't say how many threads may feed it.
void add_runtime_devices(std::vector<device>& devices, const std::vector<runtime_device>& found);

/// The cores that this process may use: those of its affinity mask, limited by the CPU quota of its control group
/// (cgroup v2 `cpu.max`, read below `cgroup_root`), rounded up; at least 1.
std::size_t usable_cores(const std::filesystem::path& cgroup_root = "/sys/fs/cgroup");

/// The memory that this process may use, in bytes: the machine's, limited by that of its control group (cgroup v2
/// `memory.max`, read below `cgroup_root`); 0 when neither can be read.
std::uint64_t usable_memory(const std::filesystem::path& cgroup_root = "/sys/fs/cgroup",
                            const std::filesystem::path& meminfo = "/proc/meminfo");

/// What the processor is called, as Linux read it from it; empty when it can't be read.
std::string processor_name(const std::filesystem::path& cpuinfo = "/proc/cpuinfo");

/// Those of the processor's instruction sets that matter to inference and that the kernel lets programs use, in
/// Linux's words, such as `avx512_vnni`; from the narrow to the wide.
std::vector<std::string> instruction_sets(const std::filesystem::path& cpuinfo = "/proc/cpuinfo");

}  // namespace troupe
