#include "actors/gateway/grpc/status.hpp"

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

#include <google/protobuf/util/time_util.h>
#include <grpcpp/server_context.h>

namespace troupe {
namespace {

/// The message travels percent-encoded in the trailers, of which gRPC's clients take 8 KiB in all: with more of it they
/// would lose the code, too.
constexpr std::size_t longest_message = 2048;

/// When to try again, as https://google.aip.dev/193 says it.
std::string retry_details(const grpc::Status& status, std::chrono::milliseconds after) {
  google::rpc::RetryInfo retry;
  *retry.mutable_retry_delay() = google::protobuf::util::TimeUtil::MillisecondsToDuration(after.count());
  google::rpc::Status details;
  details.set_code(status.error_code());
  details.set_message(status.error_message());
  details.add_details()->PackFrom(retry);
  return details.SerializeAsString();
}

}  // namespace

grpc::Status to_grpc(const error& e) {
  return {static_cast<grpc::StatusCode>(e.code), shortened(e.message(), longest_message)};
}

grpc::Status to_grpc(const error& e, grpc::ServerContextBase& call) {
  const auto status = to_grpc(e);
  if (e.retry_after.count() == 0)
    return status;
  call.AddTrailingMetadata("retry-after-ms", std::to_string(e.retry_after.count()));
  return {status.error_code(), status.error_message(), retry_details(status, e.retry_after)};
}

}  // namespace troupe
