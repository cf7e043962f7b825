#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "apps/troupe/exit_code.hpp"
#include "apps/troupe/fwd.hpp"

#include <atomic>
#include <mutex>
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
  friend class interruption;

  void watch();

  /// True when a part of the program takes the Ctrl-C for itself.
  bool divert();

  cancel_scope scope_;
  std::mutex mutex_;
  interruption* part_ = nullptr;
  std::atomic<int> signal_{0};
  int signals_;
  int raised_;
  int done_;
  std::thread watcher_;
};

/// A part of the program that Ctrl-C ends in the program's place, such as one answer of a conversation. The next
/// Ctrl-C, while the part has still not ended, is the program's again, as is SIGTERM. One at a time.
class interruption {
 public:
  explicit interruption(interrupt& program);
  ~interruption();
  interruption(const interruption&) = delete;
  interruption& operator=(const interruption&) = delete;

  /// Cancelled, with CANCELLED, by Ctrl-C or with the program.
  cancel_token token() const noexcept { return scope_.token(); }

  /// A file descriptor that becomes readable then and stays so, for poll(2).
  int descriptor() const noexcept { return raised_; }

 private:
  friend class interrupt;

  interrupt& program_;
  cancel_scope scope_;
  int raised_;
};

}  // namespace troupe::cli
