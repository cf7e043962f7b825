#pragma once

#include "actors/concurrency/error.hpp"

#include <cstddef>
#include <optional>
#include <type_traits>
#include <utility>

namespace troupe {

/// Somebody who waits in the queue of a primitive. Whoever completes the wait takes it out of the queue and writes its
/// result under the primitive's lock, which is the one moment that decides between a result and a cancellation; then,
/// without the lock, calls `wake()` once.
class waiter {
 public:
  waiter() = default;
  virtual ~waiter() = default;
  waiter(const waiter&) = delete;
  waiter& operator=(const waiter&) = delete;

  /// The result is there. Called once from any thread, without a lock, and must not block; the waiter may be gone when
  /// this returns.
  virtual void wake() noexcept = 0;

  // What the primitive notes of the wait while it lasts, guarded by its lock.
  const void* owner = nullptr;  ///< the handle, or the holder to be
  void* subject = nullptr;      ///< what is waited with, such as the item of a sender

 private:
  friend class wait_queue;
  friend class wake_list;

  class wait_queue* queue_ = nullptr;
  waiter* next_ = nullptr;
  waiter* previous_ = nullptr;
};

/// A wait whose result is a `T`: what an operation of a primitive leaves behind when it can't be completed at once.
/// Each kind of caller derives its own way of being woken from it.
template <class T>
class pending : public waiter {
 public:
  std::optional<expected<T>> result;  ///< there once `wake()` is called
};

/// Those who wait, in the order in which they came. Joining and leaving take constant time and no memory. Guarded by
/// the lock of the primitive it belongs to.
class wait_queue {
 public:
  wait_queue() = default;
  wait_queue(const wait_queue&) = delete;
  wait_queue& operator=(const wait_queue&) = delete;

  void push_back(waiter& who) noexcept {
    who.queue_ = this;
    who.next_ = nullptr;
    who.previous_ = std::exchange(last_, &who);
    (who.previous_ ? who.previous_->next_ : first_) = &who;
    ++size_;
  }

  /// Takes a waiter out; false when it isn't in, because it was completed.
  bool erase(waiter& who) noexcept {
    if (who.queue_ != this)
      return false;
    (who.previous_ ? who.previous_->next_ : first_) = who.next_;
    (who.next_ ? who.next_->previous_ : last_) = who.previous_;
    who.queue_ = nullptr;
    --size_;
    return true;
  }

  /// Takes out a wait that its own task gives up, with the reason for its result; false when it was completed before.
  template <class T>
  bool withdraw(pending<T>& who, error why) {
    if (!erase(who))
      return false;
    who.result.emplace(std::move(why));
    return true;
  }

  waiter* front() const noexcept { return first_; }

  /// The one behind `who`, which is in this queue.
  static waiter* behind(const waiter& who) noexcept { return who.next_; }

  /// Takes out the one who came first; null when nobody waits.
  waiter* pop_front() noexcept {
    auto* who = first_;
    if (who)
      erase(*who);
    return who;
  }

  /// Takes out the one who came last; null when nobody waits.
  waiter* pop_back() noexcept {
    auto* who = last_;
    if (who)
      erase(*who);
    return who;
  }

  bool empty() const noexcept { return first_ == nullptr; }
  std::size_t size() const noexcept { return size_; }

 private:
  waiter* first_ = nullptr;
  waiter* last_ = nullptr;
  std::size_t size_ = 0;
};

/// Those whose waits were completed under a lock. Declared before the lock is taken, it wakes them after the lock is
/// gone, in their order.
class wake_list {
 public:
  wake_list() = default;
  wake_list(const wake_list&) = delete;
  wake_list& operator=(const wake_list&) = delete;

  ~wake_list() {
    for (auto* who = first_; who;)
      std::exchange(who, who->next_)->wake();
  }

  /// Takes over a waiter that has left its queue.
  void add(waiter& who) noexcept {
    who.next_ = nullptr;
    (last_ ? last_->next_ : first_) = &who;
    last_ = &who;
  }

 private:
  waiter* first_ = nullptr;
  waiter* last_ = nullptr;
};

/// Writes the result of a wait and notes that its owner is to be woken. Under the primitive's lock.
template <class T>
void complete(pending<T>& who, expected<T> result, wake_list& woken) {
  who.result.emplace(std::move(result));
  woken.add(who);
}

// -- What the kinds of callers ask of an operation
// ---------------------------------------------------------------------
//
// An operation has `begin(pending<T>&)`, which completes it or queues the wait, and `abandon(pending<T>&, error)`,
// which takes the wait back unless it was completed. It may have `attempt()`, which does what `begin` does where that
// needn't wait, and nothing where it must; and more, which is asked for through these.

/// Whether an operation is refused, before anything happens, under a token that is cancelled already. One that brings
/// something to its end says `static constexpr bool refusable = false`.
template <class Operation>
constexpr bool is_refusable() {
  if constexpr (requires { Operation::refusable; })
    return Operation::refusable;
  else
    return true;
}

/// Tells an operation that wants to know, `watched()`, that its wait has begun and that a cancellation reaches it from
/// here on. A result that comes before that counts as one that came before the cancellation.
template <class Operation>
void tell_watched(Operation& operation) {
  if constexpr (requires { operation.watched(); })
    operation.watched();
}

/// What the owner of a wait makes of its result, in its own context: `finish(expected<T>)`.
template <class Operation, class T>
expected<T> finish(Operation& operation, expected<T> result) {
  if constexpr (requires { operation.finish(std::move(result)); })
    return operation.finish(std::move(result));
  else
    return result;
}

/// Gives back a result that its owner was too late for: `undo(T)`, or `undo()` where there is no value. Where there is
/// none of it, destroying the result is enough.
template <class Operation, class T>
void undo(Operation& operation, std::optional<expected<T>>& result) {
  auto taken = std::exchange(result, std::nullopt);
  if (!taken || !*taken)
    return;
  if constexpr (std::is_void_v<T>) {
    if constexpr (requires { operation.undo(); })
      operation.undo();
  } else {
    if constexpr (requires { operation.undo(std::move(**taken)); })
      operation.undo(std::move(**taken));
  }
}

/// Ends a wait whose owner is gone, without a result: `forget(pending<T>&)`, where that differs from abandoning it.
/// False when it was completed before, and somebody is about to call `wake()`.
template <class Operation, class T>
bool forget(Operation& operation, pending<T>& who) {
  if constexpr (requires { operation.forget(who); })
    return operation.forget(who);
  else
    return operation.abandon(who, make_error(status_code::cancelled, "whoever waited is gone"));
}

// -- What an operation can come to, besides what it asked for ---------------------------------------------------------

/// RESOURCE_EXHAUSTED: it would have to wait, and was told not to. AnyIO: WouldBlock.
inline error would_block(std::string cause) {
  return make_error(status_code::resource_exhausted, std::move(cause), "wait for it, or try again");
}

/// FAILED_PRECONDITION: the caller's own handle is closed. AnyIO: ClosedResourceError.
inline error closed_resource(std::string cause) {
  return make_error(status_code::failed_precondition, std::move(cause), "clone a handle before closing it");
}

/// ABORTED: the other side is gone for good. AnyIO: BrokenResourceError.
inline error broken_resource(std::string cause) {
  return make_error(status_code::aborted, std::move(cause));
}

/// OUT_OF_RANGE, gRPC's code for reading past the end. AnyIO: EndOfStream.
inline error end_of_stream() {
  return make_error(status_code::out_of_range, "the stream has ended: every sender has closed it");
}

}  // namespace troupe
