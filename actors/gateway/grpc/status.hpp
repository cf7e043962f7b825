#pragma once

#include "actors/concurrency/error.hpp"

#include <grpcpp/support/status.h>

namespace troupe {

/// An error as gRPC says it: same code, cause and remedy as the message.
inline grpc::Status to_grpc(const error& e) {
  return {static_cast<grpc::StatusCode>(e.code), e.message()};
}

}  // namespace troupe
