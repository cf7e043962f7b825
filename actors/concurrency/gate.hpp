#pragma once

#include "actors/concurrency/pending.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

namespace troupe {

/// Counts what is going on inside, so that the inside can be closed and left: a closed gate lets nobody in any more,
/// and whoever wants to know when the last one is out waits for `drained()`. What is closed stays closed. Copies are
/// the same gate. Thread-safe; `enter` and `leave` cost one atomic operation.
class gate {
 public:
  struct statistics {
    std::uint64_t inside;
    bool closed;
    std::size_t waiting;  ///< for it to be drained
  };

  class drained_operation;

  gate() : state_(std::make_shared<state>()) {}

  /// True when the caller is in, and owes a `leave()`.
  bool enter() noexcept {
    if ((state_->count.fetch_add(one, std::memory_order_acq_rel) & closed_bit) == 0)
      return true;
    leave();
    return false;
  }

  void leave() noexcept {
    if (state_->count.fetch_sub(one, std::memory_order_acq_rel) == (one | closed_bit))
      state_->drain();
  }

  /// Lets nobody in any more. Closing twice is fine.
  void close() noexcept {
    if (state_->count.fetch_or(closed_bit, std::memory_order_acq_rel) < one)
      state_->drain();
  }

  /// Waits until it is closed and the last one is out.
  drained_operation drained() const;

  bool closed() const noexcept { return (state_->count.load(std::memory_order_acquire) & closed_bit) != 0; }

  /// How many are in; somebody who is just being refused may count.
  std::uint64_t inside() const noexcept { return state_->count.load(std::memory_order_acquire) / one; }

  statistics stats() const;

 private:
  static constexpr std::uint64_t closed_bit = 1;
  static constexpr std::uint64_t one = 2;

  struct state {
    void drain() noexcept;

    std::atomic<std::uint64_t> count = 0;
    mutable std::mutex mutex;
    bool drained = false;
    wait_queue waiting;
  };

  std::shared_ptr<state> state_;
};

class gate::drained_operation {
 public:
  using result_type = void;

  explicit drained_operation(std::shared_ptr<state> of) : state_(std::move(of)) {}

  std::optional<expected<void>> begin(pending<void>& who);
  bool abandon(pending<void>& who, error why);

 private:
  std::shared_ptr<state> state_;
};

}  // namespace troupe
