#pragma once

#include "actors/concurrency/error.hpp"
#include "apps/troupe/fwd.hpp"

namespace troupe::cli {

/// Prints the node's skillsets: what each is, its options and devices, or why it can't be used.
expected<void> skillsets(session& with);

}  // namespace troupe::cli
