#pragma once

#include "actors/concurrency/clock.hpp"

#include <grpcpp/server_context.h>

namespace troupe {

/// gRPC's deadline of a call, on the clock of deadlines.
steady_clock::time_point deadline_of(const grpc::CallbackServerContext& call);

}  // namespace troupe
