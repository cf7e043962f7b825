#include "actors/gateway/grpc/deadline.hpp"

#include <grpc/support/time.h>

namespace troupe {

// Not by way of chrono, which can't count as far as some clients ask for.
steady_clock::time_point deadline_of(const grpc::CallbackServerContext& call) {
  constexpr auto farthest = std::chrono::seconds{std::chrono::hours{24 * 365 * 100}};
  const auto deadline = call.raw_deadline();
  const auto left = gpr_time_sub(deadline, gpr_now(deadline.clock_type));
  if (left.tv_sec > farthest.count())
    return no_deadline;
  const auto now = steady_clock::now();
  return left.tv_sec < 0 ? now : now + std::chrono::seconds{left.tv_sec} + std::chrono::nanoseconds{left.tv_nsec};
}

}  // namespace troupe
