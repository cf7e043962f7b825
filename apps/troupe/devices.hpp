#pragma once

#include "actors/concurrency/error.hpp"
#include "apps/troupe/fwd.hpp"

namespace troupe::cli {

/// Prints the node's devices: what each is and can do, which runtimes find it, and who uses it at this moment.
expected<void> devices(session& with);

}  // namespace troupe::cli
