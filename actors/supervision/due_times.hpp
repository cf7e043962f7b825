#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

namespace troupe {

/// When something is due for whom, at most one time each: a supervisor of many children waits for the earliest of these
/// only.
class due_times {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  void set(std::uint64_t who, time_point when) {
    clear(who);
    times_.emplace(when, who);
    of_.emplace(who, when);
  }

  void clear(std::uint64_t who) {
    if (const auto i = of_.find(who); i != of_.end()) {
      times_.erase({i->second, who});
      of_.erase(i);
    }
  }

  std::optional<time_point> next() const {
    return times_.empty() ? std::nullopt : std::optional{times_.begin()->first};
  }

  /// Takes out the earliest one if it is due.
  std::optional<std::uint64_t> pop(time_point now) {
    if (times_.empty() || times_.begin()->first > now)
      return std::nullopt;
    const auto who = times_.begin()->second;
    clear(who);
    return who;
  }

 private:
  std::set<std::pair<time_point, std::uint64_t>> times_;
  std::unordered_map<std::uint64_t, time_point> of_;
};

}  // namespace troupe
