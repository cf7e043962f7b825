#pragma once

#include "actors/concurrency/owner.hpp"
#include "actors/concurrency/pending.hpp"

#include <memory>
#include <optional>

namespace troupe {

namespace detail {
class lock_state;
}

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

  /// Releases the lock early. FAILED_PRECONDITION when this doesn't hold it any more.
  expected<void> release();

 private:
  friend class condition;
  friend class detail::lock_state;
  guard(std::shared_ptr<detail::lock_state> of, owner who) : state_(std::move(of)), who_(who) {}

  std::shared_ptr<detail::lock_state> state_;
  owner who_;
};

namespace detail {

/// Somebody's turn at a lock, as it stands in the lock's queue.
struct lock_request {
  owner who;
  /// Completes the wait of whoever holds the lock now.
  void (*granted)(waiter& waiting, lock_request& request, lock_state& by, wake_list& woken);
  std::optional<error> outcome{};  ///< what a condition's wait came to while it was without the lock
};

}  // namespace detail

class lock::acquire_operation {
 public:
  using result_type = guard;

  acquire_operation(std::shared_ptr<detail::lock_state> of, owner who);

  std::optional<expected<guard>> begin(pending<guard>& who);
  bool abandon(pending<guard>& who, error why);

 private:
  std::shared_ptr<detail::lock_state> state_;
  detail::lock_request request_;
};

/// Where tasks that hold a lock wait until another one has changed what the lock protects. Copies are the same
/// condition. Thread-safe.
class condition {
 public:
  struct statistics {
    std::size_t waiting;
    lock::statistics of_lock;
  };

  class wait_operation;

  explicit condition(lock of);

  /// Releases the lock, waits for a notification, and holds the lock again when it returns, with an error too. A
  /// cancellation is therefore reported only once the lock is free. Who was notified before returns OK, so that no
  /// notification is lost. FAILED_PRECONDITION when `holding` is not this condition's lock.
  wait_operation wait(lock::guard& holding) const;

  /// Wakes the first `count` that wait, fewer when there are fewer. FAILED_PRECONDITION as for `wait`.
  expected<void> notify(const lock::guard& holding, std::size_t count = 1);
  expected<void> notify_all(const lock::guard& holding);

  statistics stats() const;

 private:
  struct state;

  std::shared_ptr<state> state_;
};

class condition::wait_operation {
 public:
  using result_type = void;

  wait_operation(std::shared_ptr<state> of, lock::guard& holding);

  std::optional<expected<void>> begin(pending<void>& who);
  bool abandon(pending<void>& who, error why);

 private:
  std::shared_ptr<state> state_;
  lock::guard* holding_;
  detail::lock_request request_;
};

}  // namespace troupe
