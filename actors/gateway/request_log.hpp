#pragma once

#include "actors/concurrency/clock.hpp"
#include "actors/concurrency/error.hpp"

#include <string_view>

namespace troupe {

/// Logs how a request to a model ended, and how long it took since `began`: at `debug`, or at `info` when there is a
/// `failure`. `id` is the client's own.
void log_request(std::string_view id, std::string_view model, steady_clock::time_point began, const error* failure);

}  // namespace troupe
