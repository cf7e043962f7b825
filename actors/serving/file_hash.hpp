#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/concurrency/error.hpp"

#include <filesystem>
#include <string>

namespace troupe {

/// The SHA-256 of a file in lower-case hexadecimal digits. Blocking. NOT_FOUND when the file can't be read, and the
/// token's reason when it is cancelled half way.
expected<std::string> sha256_of(const std::filesystem::path& file, const cancel_token& token = {});

}  // namespace troupe
