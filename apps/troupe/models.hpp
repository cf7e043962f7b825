#pragma once

#include "actors/concurrency/error.hpp"
#include "apps/troupe/fwd.hpp"

namespace troupe::cli {

/// Prints every model of the node: its state, what it takes and gives in the words of `infer --input`, and why it is
/// not ready.
expected<void> models(session& with);

}  // namespace troupe::cli
