#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace troupe {

/// What a skillset is to the node.
enum class skillset_kind : std::uint8_t {
  built_in,       ///< part of the node's program
  shared_object,  ///< `<name>.so`
  program,        ///< `<name>.toml`, a manifest of a program that speaks host.proto
};

/// Where a skillset is.
struct skillset_file {
  std::string name;
  skillset_kind kind = skillset_kind::built_in;
  std::filesystem::path path;  ///< of the shared object or the manifest; empty for what is built in
};

}  // namespace troupe
