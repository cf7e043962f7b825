#pragma once

#include "actors/concurrency/clock.hpp"

#include <cstddef>

namespace troupe {

/// Tells for whom a batch should wait, though there is something to run. Clients that ask again as soon as they have
/// their answers all come back within a moment after a batch, one after the other: a worker that began with the first
/// would leave the others to the next batch, and run in fragments what could run together. So those who were answered
/// are waited for, for a part of the time that their batch took; but only while they do come back, so that nobody waits
/// for clients who ask once. Whoever is alone is waited for by nobody. (Disk schedulers do the same for processes that
/// read one block after the other.) Not thread-safe.
class anticipation {
 public:
  /// A batch has ended that took so long.
  void ended(steady_clock::duration took) noexcept;

  /// So many have had their answers of late.
  void answered(std::size_t count, steady_clock::time_point now);

  /// Somebody has come.
  void came(steady_clock::time_point now);

  /// Until when others are worth waiting for; a time that is over when none are.
  steady_clock::time_point until() const noexcept;

 private:
  void close();

  steady_clock::duration wait_{};
  std::size_t expected_ = 0;  // who were answered
  std::size_t came_ = 0;      // since then
  steady_clock::time_point until_ = steady_clock::time_point::min();
  double share_ = 1;  // of those who were expected, how many came in time, of late
};

}  // namespace troupe
