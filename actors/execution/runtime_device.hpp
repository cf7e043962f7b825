#pragma once

#include <string>
#include <vector>

namespace troupe {

/// A device as one of the runtimes that skillsets compute with, such as OpenVINO, finds it on this machine. What the
/// runtime doesn't say is empty.
struct runtime_device {
  std::string runtime;         ///< such as `OpenVINO`
  std::string version = {};    ///< of the runtime
  std::string name;            ///< what the runtime, and so model.toml, calls it, such as `CPU` or `GPU.0`
  std::string full_name = {};  ///< the product's
  std::vector<std::string> capabilities = {};  ///< words of the runtime, such as `BF16`: no spaces, commas or `&`

  bool operator==(const runtime_device&) const = default;
};

}  // namespace troupe
