#pragma once

#include "actors/concurrency/error.hpp"

#include <chrono>
#include <memory>
#include <stop_token>

namespace troupe {

namespace detail {
struct scope_state;
}

/// The clock of deadlines.
using steady_clock = std::chrono::steady_clock;

/// The deadline of what has none.
inline constexpr auto no_deadline = steady_clock::time_point::max();

/// What work looks at to learn that it is no longer wanted. A token is a cheap copyable view of a `cancel_scope`; it
/// says so once the scope is cancelled or its deadline has passed, and from then on for ever. Thread-safe.
class cancel_token {
 public:
  /// A token that is never cancelled.
  cancel_token() = default;

  /// True once the scope was cancelled or its deadline has passed.
  bool cancelled() const noexcept;

  /// Requested when the scope is cancelled, for std::stop_callback and std::condition_variable_any. The passing of
  /// the deadline alone does not request it: a wait bounds itself by `deadline()`.
  std::stop_token stop() const noexcept;

  /// The earliest deadline of the scope and those around it.
  steady_clock::time_point deadline() const noexcept;

  /// Why the work is not wanted: the reason given to `cancel()`, else DEADLINE_EXCEEDED when the deadline has passed.
  /// CANCELLED without a cause while the token is not cancelled.
  error reason() const;

 private:
  friend class cancel_scope;
  explicit cancel_token(std::shared_ptr<detail::scope_state> state) : state_(std::move(state)) {}

  std::shared_ptr<detail::scope_state> state_;
};

/// One owner's right to stop a piece of work: everything started under a scope gets its token, and one `cancel()`
/// reaches all of it, scopes inside it included. Thread-safe. Destroying a scope does not cancel it.
class cancel_scope {
 public:
  /// A scope under the scope of `parent`, with the earlier of both deadlines.
  explicit cancel_scope(steady_clock::time_point deadline = no_deadline, const cancel_token& parent = {});

  /// Cancels this scope and all inside it, for `reason`. The first call decides the reason and returns true; further
  /// calls change nothing.
  bool cancel(error reason);

  cancel_token token() const noexcept { return cancel_token{state_}; }

 private:
  std::shared_ptr<detail::scope_state> state_;
};

}  // namespace troupe
