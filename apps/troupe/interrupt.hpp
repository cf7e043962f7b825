#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "apps/troupe/exit_code.hpp"

#include <atomic>
#include <thread>

namespace troupe::cli {

/// Turns Ctrl-C and SIGTERM into the cancellation of one scope. What may be done in a signal handler is next to
/// nothing, so the signals are blocked, and a thread waits for them. The program has a second to wind up after the
/// first one; then, or at a second signal, it is ended on the spot. One a process, made before any other thread.
class interrupt {
 public:
  interrupt();
  ~interrupt();
  interrupt(const interrupt&) = delete;
  interrupt& operator=(const interrupt&) = delete;

  /// Cancelled, with CANCELLED, by the first signal.
  cancel_token token() const noexcept { return scope_.token(); }

  /// A file descriptor that becomes readable with the first signal and stays so, for poll(2).
  int descriptor() const noexcept { return raised_; }

  /// What the program exits with after the signal that came, such as 130 for SIGINT.
  exit_code code() const noexcept { return static_cast<exit_code>(128 + signal_.load()); }

 private:
  void watch();

  cancel_scope scope_;
  std::atomic<int> signal_{0};
  int signals_;
  int raised_;
  int done_;
  std::thread watcher_;
};

}  // namespace troupe::cli
