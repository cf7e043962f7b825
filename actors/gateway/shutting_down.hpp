#pragma once

#include "actors/concurrency/error.hpp"

namespace troupe {

/// What clients are told who come, or are not done, when the node stops.
inline error shutting_down() {
  return make_error(status_code::unavailable, "the node is shutting down", "try another node");
}

}  // namespace troupe
