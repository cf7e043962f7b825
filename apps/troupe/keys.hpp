#pragma once

#include "actors/concurrency/error.hpp"
#include "apps/troupe/fwd.hpp"

#include <cstdint>
#include <string>

namespace troupe::cli {

struct new_key_options {
  std::string name;
  std::uint32_t per_minute = 0;  ///< requests; 0: any number
  std::uint32_t concurrent = 0;  ///< requests at once; 0: any number
};

/// Prints a new API key, which nobody can print a second time, and the line by which a node knows it. INVALID_ARGUMENT
/// for a name that a key can't have, UNAVAILABLE without random numbers.
expected<void> new_key(session& with, const new_key_options& options);

}  // namespace troupe::cli
