#pragma once

#include "actors/concurrency/error.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace troupe {

/// A plug-in that is a program, in whatever language, as `<skillset>.toml` describes it.
struct program_manifest {
  std::filesystem::path folder;        ///< the manifest's, which the program is started in
  std::filesystem::path program;       ///< absolute
  std::vector<std::string> arguments;  ///< without the program itself
};

/// Reads a manifest strictly. Its key `command` has the program and its arguments; a program with a slash is relative
/// to the manifest's folder, and one without is looked up in PATH. INVALID_ARGUMENT names file, line and key, for a
/// program that is not there, or that can't be executed, as well; NOT_FOUND when there is no such file.
expected<program_manifest> read_program_manifest(const std::filesystem::path& file);

}  // namespace troupe
