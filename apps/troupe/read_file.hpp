#pragma once

#include "actors/concurrency/error.hpp"

#include <string>

namespace troupe::cli {

/// All bytes of a file. NOT_FOUND for one that can't be read, INVALID_ARGUMENT for one that no message could hold.
expected<std::string> read_file(const std::string& path);

}  // namespace troupe::cli
