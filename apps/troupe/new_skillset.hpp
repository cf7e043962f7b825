#pragma once

#include "actors/concurrency/error.hpp"
#include "apps/troupe/fwd.hpp"

#include <filesystem>
#include <string>
#include <string_view>

namespace troupe::cli {

struct new_skillset_options {
  std::string name;
  std::string folder;  ///< of the project, to be made; empty: one of the skillset's name, here
};

/// INVALID_ARGUMENT where a skillset can't have this name: it is a file's, a CMake target's and part of C++ names.
expected<void> check_skillset_name(std::string_view name);

/// Makes the project of a skillset with this name in `folder`, which must not be there: apps/examples/plugin under
/// another name. All of it, or nothing. Errors: as `check_skillset_name`, ALREADY_EXISTS, NOT_FOUND for the folder
/// around it, PERMISSION_DENIED, INTERNAL.
expected<void> write_skillset_project(const std::string& name, const std::filesystem::path& folder);

/// Writes the project and prints where it is and what can be done with it.
expected<void> new_skillset(session& with, const new_skillset_options& options);

}  // namespace troupe::cli
