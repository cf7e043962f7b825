#pragma once

#include "actors/concurrency/owner.hpp"
#include "actors/concurrency/pending.hpp"

#include <memory>
#include <optional>

namespace troupe {

namespace detail {
class lock_state;
struct lock_turn;
}  // namespace detail

/// Mutual exclusion among tasks: it may be held across waits, because whoever wants it waits as for anything else. It
/// passes straight to the first who waits. Copies are the same lock. Thread-safe.
class lock {
 public:
  struct statistics {
    bool locked;
    owner holder;  ///< while locked
    std::size_t waiting;
  };

  /// The right to be inside. Released when this is destroyed, and so also when the task that holds it ends. Move-only.
  class guard;
  class acquire_operation;

  lock();

  /// Takes the lock for `who`. FAILED_PRECONDITION when that holds it already, because it would wait for itself.
  acquire_operation acquire(owner who) const;

  /// The same without waiting: RESOURCE_EXHAUSTED when the lock is held.
  expected<guard> try_acquire(owner who) const;

  statistics stats() const;

 private:
  friend class condition;

  std::shared_ptr<detail::lock_state> state_;
};

class lock::guard {
 public:
  guard(guard&&) noexcept = default;
  guard& operator=(guard&& other) noexcept;
  ~guard();

  /// Releases the lock early. FAILED_PRECONDITION when this doesn't hold it, or not now.
  expected<void> release();

 private:
  friend class condition;
  friend class lock;
  explicit guard(std::shared_ptr<detail::lock_turn> turn) : turn_(std::move(turn)) {}

  std::shared_ptr<detail::lock_turn> turn_;
};

namespace detail {

/// Somebody's turn at a lock, from the asking to the release; shared by its guard and by what the guard is used with.
struct lock_turn {
  std::shared_ptr<lock_state> of;
  owner who;
  bool holding = false;  ///< not yet, not any more, or waiting for a condition
  bool gone = false;     ///< the guard was destroyed while it waited: the lock is not to be given to it
};

/// What stands in the queue of a lock.
class lock_request {
 public:
  explicit lock_request(std::shared_ptr<lock_turn> of) : turn(std::move(of)) {}

  /// Completes the wait of who got the lock, or would have got it were it not gone.
  virtual void granted(waiter& waiting, wake_list& woken) = 0;

  std::shared_ptr<lock_turn> turn;

 protected:
  ~lock_request() = default;
};

}  // namespace detail

class lock::acquire_operation final : private detail::lock_request {
 public:
  using result_type = guard;

  acquire_operation(std::shared_ptr<detail::lock_state> of, owner who);

  std::optional<expected<guard>> begin(pending<guard>& who);
  bool abandon(pending<guard>& who, error why);

 private:
  void granted(waiter& waiting, wake_list& woken) override;

  std::shared_ptr<detail::lock_state> state_;
  owner who_;
};

/// Where tasks that hold a lock wait until another one has changed what the lock protects. Whoever waits looks again
/// after waking: `while (!ready) wait(changed.wait(guard), token)`. Copies are the same condition. Thread-safe.
class condition {
 public:
  struct statistics {
    std::size_t waiting;
    lock::statistics of_lock;
  };

  class wait_operation;

  explicit condition(lock of);

  /// Releases the lock, waits for a notification, and holds the lock again when it returns, with an error too. A
  /// cancellation is therefore reported only once the lock is free. Who was notified before returns OK, and one who is
  /// gone by then passes it on, so that no notification is lost. FAILED_PRECONDITION when `holding` does not hold this
  /// condition's lock.
  wait_operation wait(const lock::guard& holding) const;

  /// Wakes the first `count` that wait, fewer when there are fewer. FAILED_PRECONDITION as for `wait`.
  expected<void> notify(const lock::guard& holding, std::size_t count = 1);
  expected<void> notify_all(const lock::guard& holding);

  statistics stats() const;

 private:
  struct state;

  std::shared_ptr<state> state_;
};

class condition::wait_operation final : private detail::lock_request {
 public:
  using result_type = void;

  wait_operation(std::shared_ptr<state> of, const lock::guard& holding);

  std::optional<expected<void>> begin(pending<void>& who);
  bool abandon(pending<void>& who, error why);
  bool forget(pending<void>& who);
  void undo();

 private:
  void granted(waiter& waiting, wake_list& woken) override;

  std::shared_ptr<state> state_;
  std::optional<error> refused_;  ///< what the wait came to while it was without the lock
};

}  // namespace troupe
