#include "actors/gateway/request_log.hpp"

#include "actors/concurrency/log.hpp"

namespace troupe {

void log_request(std::string_view id, std::string_view model, steady_clock::time_point began, const error* failure) {
  const auto level = failure ? spdlog::level::info : spdlog::level::debug;
  if (!logs(level))
    return;
  const std::chrono::duration<double, std::milli> took = steady_clock::now() - began;
  const auto code = failure ? to_string(failure->code) : std::string_view{"OK"};
  if (failure)
    log_event(level, "request",
              {{"id", id}, {"model", model}, {"code", code}, {"ms", took.count()}, {"reason", failure->message()}});
  else
    log_event(level, "request", {{"id", id}, {"model", model}, {"code", code}, {"ms", took.count()}});
}

}  // namespace troupe
