#pragma once

#include "actors/concurrency/error.hpp"

#include <grpcpp/support/status.h>

namespace troupe {

/// An error as gRPC says it: same code, cause and remedy as the message. The message travels percent-encoded in the
/// trailers, of which gRPC's clients take 8 KiB in all: with more of it they would lose the code, too.
inline grpc::Status to_grpc(const error& e) {
  constexpr std::size_t longest_message = 2048;
  return {static_cast<grpc::StatusCode>(e.code), shortened(e.message(), longest_message)};
}

}  // namespace troupe
