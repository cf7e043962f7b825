#pragma once

#include "inference/grpc_service.grpc.pb.h"

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace troupe::bench {

// What every client of the benches needs.

using stub = inference::GRPCInferenceService::Stub;

/// A connection of its own, even to the same server: two with the same number in one process would share one.
std::unique_ptr<stub> connect(const std::string& target, int number);

/// FP32 [1,16] for the model `identity`.
inference::ModelInferRequest make_request();

/// BYTES `text` with all of `texts`.
inference::ModelInferRequest make_request(const std::string& model, const std::vector<std::string>& texts);

/// A request for each of `texts`, or the echo's when there are none.
std::vector<inference::ModelInferRequest> make_requests(const std::string& model,
                                                        const std::vector<std::string>& texts);

/// CPU time of a process and the children that it has, such as hosts of models, user and system, of all their threads;
/// 0 for process 0.
double cpu_seconds(pid_t process);

/// Those that aren't more than `share` of all; 0 without any. Nanoseconds in, microseconds out.
double percentile(std::vector<std::uint64_t>& nanoseconds, double share);

}  // namespace troupe::bench
