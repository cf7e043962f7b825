#pragma once

#include "actors/concurrency/cancel_scope.hpp"

#include <deque>
#include <functional>
#include <mutex>

namespace troupe {

/// Lets the main thread wait for signals and for events from other threads at once, without polling. Made before any
/// other thread, because it blocks SIGINT and SIGTERM for all of them. SIGPIPE is ignored from then on.
class main_loop {
 public:
  main_loop();
  ~main_loop();

  main_loop(const main_loop&) = delete;
  main_loop& operator=(const main_loop&) = delete;

  /// Has the main thread call `work` soon. Thread-safe.
  void post(std::function<void()> work);

  /// Has the main thread call `work` at `when`, in place of what was to be called at a time before. From within `run`.
  void call_at(steady_clock::time_point when, std::function<void()> work);

  /// Calls `on_signal` for every signal and what was posted, until `stop`.
  void run(const std::function<void(int signal)>& on_signal);

  /// Makes `run` return. To be called from within it.
  void stop() { stopped_ = true; }

 private:
  int milliseconds_left() const;
  void run_posted();
  void run_due();

  int signals_;
  int wake_;
  bool stopped_ = false;
  steady_clock::time_point when_ = no_deadline;
  std::function<void()> at_when_;
  std::mutex mutex_;
  std::deque<std::function<void()>> posted_;
};

}  // namespace troupe
