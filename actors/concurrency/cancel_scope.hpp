#pragma once

#include "actors/concurrency/clock.hpp"
#include "actors/concurrency/error.hpp"

#include <concepts>
#include <memory>
#include <optional>
#include <stop_token>

namespace troupe {

namespace detail {
class scope_state;
}

/// What work looks at to learn that it is no longer wanted: a cheap, copyable view of a `cancel_scope`. It says so once
/// its scope, or one around it up to the nearest shield, was cancelled or has passed its deadline, and goes on saying
/// so at every look. Thread-safe.
class cancel_token {
 public:
  /// A token that is never cancelled.
  cancel_token() = default;

  /// True while the next wait under this token would be refused.
  bool cancelled() const noexcept;

  /// OK, or `reason()`: for work that looks now and then.
  expected<void> check() const;

  /// Requested when the token becomes cancelled, the passing of the deadline included; for std::stop_callback,
  /// std::jthread and std::condition_variable_any. A request can't be taken back: ask again after a shield was raised.
  std::stop_token stop() const;

  /// The earliest deadline of the scope and those around it up to the nearest shield; `time_point::min()` when the
  /// token is cancelled. AnyIO calls it current_effective_deadline.
  steady_clock::time_point effective_deadline() const noexcept;

  /// The same, whether or not it is cancelled.
  steady_clock::time_point deadline() const noexcept;

  /// Why the work is not wanted: the reason given to `cancel()`, or DEADLINE_EXCEEDED; marked as a cancellation.
  /// While the token is not cancelled: the reason that a shield has hidden since, or CANCELLED without a cause.
  error reason() const;

  /// The clock of the scope, by which whoever waits under the token waits.
  troupe::clock& clock() const noexcept;

 private:
  friend class cancel_scope;
  explicit cancel_token(std::shared_ptr<detail::scope_state> state) : state_(std::move(state)) {}

  std::shared_ptr<detail::scope_state> state_;
};

/// How a scope begins.
struct scope_options {
  steady_clock::time_point deadline = no_deadline;
  bool shield = false;             ///< hides every cancellation from outside
  bool fail = false;               ///< `leave()` answers DEADLINE_EXCEEDED when the deadline ended the work
  troupe::clock* clock = nullptr;  ///< of a scope with none around it; null: `real_clock()`
};

/// One owner's right to stop a piece of work: everything started under a scope gets its token, and one `cancel()`
/// reaches all of it, the scopes inside included. Cancellation is a level, not an edge: for as long as it stands every
/// wait under it is refused. A scope is left by `leave()`, which swallows the cancellation that the scope caused
/// itself, and only that. Destroying a scope does not cancel it. Thread-safe, but for `leave()`.
class cancel_scope {
 public:
  /// A scope with a deadline of its own, under the scope of `parent`.
  explicit cancel_scope(steady_clock::time_point deadline = no_deadline, const cancel_token& parent = {});
  explicit cancel_scope(const scope_options& options, const cancel_token& parent = {});

  /// Cancels this scope and all inside it, for `reason`. The first call decides the reason and returns true; further
  /// calls change nothing. Its cost is linear in the scopes inside and the waits under them.
  bool cancel(error reason = make_error(status_code::cancelled, "the scope was cancelled"));

  cancel_token token() const noexcept { return cancel_token{state_}; }

  /// Moves the deadline, in either direction; one that has passed cancels the scope.
  void set_deadline(steady_clock::time_point deadline);
  steady_clock::time_point deadline() const noexcept;

  /// Raises or lowers the shield. Lowered while a scope outside is cancelled, it delivers that at once.
  void set_shield(bool shield);
  bool shield() const noexcept;

  /// True once this very scope was cancelled or its deadline has passed; a scope around it doesn't count.
  bool cancel_called() const noexcept;

  /// True once `leave()` has swallowed a cancellation.
  bool cancelled_caught() const noexcept;

  /// Ends the scope with what its work came to. A cancellation that this scope caused is swallowed: the answer is OK,
  /// without a value where there would be one; or, in a scope that fails, DEADLINE_EXCEEDED. Of an
  /// aggregate the real errors stay. Everything else passes, a cancellation from outside included. FAILED_PRECONDITION
  /// when the scope was left before.
  expected<void> leave(expected<void> outcome);

  template <class T>
  expected<std::optional<T>> leave(expected<T> outcome) {
    auto left = leave(outcome ? expected<void>{} : expected<void>{outcome.error()});
    if (!left)
      return std::move(left).error();
    return outcome ? std::optional<T>{*std::move(outcome)} : std::nullopt;
  }

 private:
  std::shared_ptr<detail::scope_state> state_;
};

/// A scope that is left quietly when its time is over.
cancel_scope move_on_at(steady_clock::time_point deadline, const cancel_token& parent);
cancel_scope move_on_after(steady_clock::duration time, const cancel_token& parent);

/// A scope that is left with DEADLINE_EXCEEDED when its time is over.
cancel_scope fail_at(steady_clock::time_point deadline, const cancel_token& parent);
cancel_scope fail_after(steady_clock::duration time, const cancel_token& parent);

/// A moment on the clock of `token`, as far from now as `time`; `no_deadline` where that is beyond all reckoning.
steady_clock::time_point after(steady_clock::duration time, const cancel_token& token) noexcept;

namespace detail {

/// Somebody's function may want to have a token, or not.
template <class Function>
decltype(auto) call_with_token(Function& function, const cancel_token& token) {
  if constexpr (std::invocable<Function&, const cancel_token&>)
    return function(token);
  else
    return function();
}

}  // namespace detail

}  // namespace troupe
