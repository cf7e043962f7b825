#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

namespace troupe {

/// Counts what is going on inside, so that the inside can be closed and left: a closed gate lets nobody in any more,
/// and tells once when the last one is out. Thread-safe; `enter` and `leave` cost one atomic operation.
class gate {
 public:
  /// True when the caller is in, and owes a `leave()`.
  bool enter() noexcept {
    if ((state_.fetch_add(one, std::memory_order_acq_rel) & closed_bit) == 0)
      return true;
    leave();
    return false;
  }

  void leave() noexcept {
    if (state_.fetch_sub(one, std::memory_order_acq_rel) == (one | closed_bit))
      empty();
  }

  /// Lets nobody in any more. `on_empty` is called once, from whoever leaves last or from here. To be called once.
  void close(std::function<void()> on_empty) {
    on_empty_ = std::move(on_empty);
    if (state_.fetch_or(closed_bit, std::memory_order_acq_rel) < one)
      empty();
  }

  bool closed() const noexcept { return (state_.load(std::memory_order_acquire) & closed_bit) != 0; }

  /// How many are in.
  std::uint64_t count() const noexcept { return state_.load(std::memory_order_acquire) / one; }

 private:
  static constexpr std::uint64_t closed_bit = 1;
  static constexpr std::uint64_t one = 2;

  // A visitor who is refused enters and leaves, so that the count may reach zero more than once.
  void empty() noexcept {
    if (!told_.exchange(true))
      on_empty_();
  }

  std::atomic<std::uint64_t> state_ = 0;
  std::atomic<bool> told_ = false;
  std::function<void()> on_empty_;
};

}  // namespace troupe
