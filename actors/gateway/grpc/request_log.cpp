#include "actors/gateway/grpc/request_log.hpp"

#include "actors/concurrency/log.hpp"

#include "inference/grpc_service.pb.h"

namespace troupe {

void log_request(const inference::ModelInferRequest& request, steady_clock::time_point began, const error* failure) {
  const auto level = failure ? spdlog::level::info : spdlog::level::debug;
  if (!logs(level))
    return;
  const std::chrono::duration<double, std::milli> took = steady_clock::now() - began;
  const auto code = failure ? to_string(failure->code) : std::string_view{"OK"};
  if (failure)
    log_event(level, "request",
              {{"id", request.id()},
               {"model", request.model_name()},
               {"code", code},
               {"ms", took.count()},
               {"reason", failure->message()}});
  else
    log_event(level, "request",
              {{"id", request.id()}, {"model", request.model_name()}, {"code", code}, {"ms", took.count()}});
}

}  // namespace troupe
