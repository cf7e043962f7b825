#pragma once

#include "actors/concurrency/clock.hpp"

#include <chrono>
#include <string>

namespace troupe {

/// A span of time as errors tell it: `250 ms`, and below one `500 us`.
inline std::string duration_text(steady_clock::duration time) {
  using namespace std::chrono;
  if (time > steady_clock::duration{} && time < milliseconds{1})
    return std::to_string(duration_cast<microseconds>(time).count()) + " us";
  return std::to_string(duration_cast<milliseconds>(time).count()) + " ms";
}

}  // namespace troupe
