#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>

namespace troupe {

/// How long a supervisor waits before it restarts a child that goes on failing, so that what is broken for a while
/// isn't tried in a circle: `first`, then `factor` times as long after each further failure, at most `most`. Each wait
/// is shortened at random by up to the part `jitter` of it, so that what failed together doesn't come back together.
/// After as many failures as `at_once` nothing is waited for yet: a failure may be bad luck. A child that has run for
/// `most` begins anew. Off unless `first` is set; OTP has nothing like it.
struct restart_backoff {
  std::chrono::milliseconds first{0};
  std::chrono::milliseconds most = std::chrono::seconds{30};
  double factor = 2;
  double jitter = 0.5;
  std::uint64_t at_once = 0;

  bool enabled() const noexcept { return first.count() != 0; }
};

/// The wait after the given number of failures in a row, which counts from 1; `chance` is in [0, 1).
inline std::chrono::milliseconds delay_of(const restart_backoff& backoff, std::uint64_t failures, double chance) {
  if (!backoff.enabled() || failures <= backoff.at_once)
    return {};
  const auto most = static_cast<double>(backoff.most.count());
  const auto steps = static_cast<double>(failures - backoff.at_once - 1);
  const auto whole = std::min(most, static_cast<double>(backoff.first.count()) * std::pow(backoff.factor, steps));
  return std::chrono::milliseconds{std::llround(whole * (1 - backoff.jitter * chance))};
}

}  // namespace troupe
