#include "actors/concurrency/stream.hpp"

#include "actors/concurrency/log.hpp"

namespace troupe::detail {

void report_unreceived(std::size_t items) {
  log_event(spdlog::level::warn, "stream dropped with items in it", {{"items", items}});
}

}  // namespace troupe::detail
