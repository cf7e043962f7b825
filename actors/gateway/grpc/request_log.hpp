#pragma once

#include "actors/concurrency/clock.hpp"
#include "actors/concurrency/error.hpp"

namespace inference {
class ModelInferRequest;
}

namespace troupe {

/// Logs how a request ended, and how long it took since `began`: at `debug`, or at `info` when there is a `failure`.
void log_request(const inference::ModelInferRequest& request, steady_clock::time_point began, const error* failure);

}  // namespace troupe
