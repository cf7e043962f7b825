#pragma once

#include "bench/kernel/cases.hpp"

#include <sys/resource.h>

#include <chrono>

namespace troupe::bench {

/// Measures time on the wall, and CPU time (user and system) of the whole process with all of its threads.
class stopwatch {
 public:
  /// Both, for so many items.
  figures stop(std::uint64_t items) const {
    const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - began_;
    return {{"items", static_cast<double>(items)}, {"seconds", wall.count()}, {"cpu_seconds", cpu() - cpu_began_}};
  }

 private:
  static double cpu() {
    rusage used{};
    getrusage(RUSAGE_SELF, &used);
    const auto seconds = [](const timeval& t) {
      return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
    };
    return seconds(used.ru_utime) + seconds(used.ru_stime);
  }

  double cpu_began_ = cpu();
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

}  // namespace troupe::bench
