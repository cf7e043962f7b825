#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/concurrency/error.hpp"

#include "inference/grpc_service.pb.h"

#include <chrono>
#include <cstdint>
#include <string>

namespace troupe::cli {

struct loop_options {
  std::string target;
  inference::ModelInferRequest request;
  int in_flight = 1;
  std::chrono::milliseconds warm_up{200};
  std::chrono::milliseconds window{1000};
};

/// What was answered between the end of the warm-up and the end of the window.
struct loop_result {
  std::uint64_t requests = 0;
  double seconds = 0;
  double p50 = 0;  ///< milliseconds, as the client sees them
  double p99 = 0;
  std::uint64_t all = 0;  ///< requests, with those before and after
};

/// Sends the same request again and again, so that there are always as many under way, over two connections. The first
/// failure ends it, and so does the token.
expected<loop_result> run_closed_loop(const loop_options& options, const cancel_token& token);

}  // namespace troupe::cli
