#pragma once

#include "actors/concurrency/error.hpp"
#include "apps/troupe/fwd.hpp"

#include <chrono>

namespace troupe::cli {

/// Prints who answers, whether it is ready, and the state of its models. UNAVAILABLE when it is not ready. Asks again
/// for as long as `wait` until it is, also while nobody answers.
expected<void> status(session& with, std::chrono::duration<double> wait);

}  // namespace troupe::cli
