#pragma once

#include "actors/concurrency/clock.hpp"

#include <any>
#include <memory>
#include <optional>

namespace troupe {

/// What a request to a stateful model carries between its sequence and the instance that runs it. The sequence's owner
/// fills it in before the request is queued, and reads it when nobody works on the request any more; in between it
/// belongs to the thread that runs it.
struct sequence_step {
  std::shared_ptr<const std::any> before;  ///< the state that it finds; null: none
  std::optional<std::any> after;           ///< the state that it leaves; nothing: the same
  bool committed = false;                  ///< it was answered with a response
  steady_clock::time_point admitted;       ///< when it came to its sequence
};

}  // namespace troupe
