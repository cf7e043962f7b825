#pragma once

#include "actors/concurrency/error.hpp"
#include "actors/gateway/shutting_down.hpp"

#include <grpcpp/support/status.h>

namespace grpc {
class ServerContextBase;
}

namespace troupe {

/// An error as gRPC says it: same code, cause and remedy as the message, the beginning of it where it is very long.
grpc::Status to_grpc(const error& e);

/// The same for the end of `call`, which is told when to try again, where the error says so: in milliseconds in the
/// trailing metadata `retry-after-ms`, and as google.rpc.RetryInfo in the status' details.
grpc::Status to_grpc(const error& e, grpc::ServerContextBase& call);

}  // namespace troupe
