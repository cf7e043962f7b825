#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/concurrency/pending.hpp"

#include <atomic>
#include <thread>

namespace troupe {

namespace detail {

/// A thread that sleeps until its wait is completed. An atomic rather than a mutex and a condition: it costs nothing to
/// make where nobody has to wait after all, and before it sleeps it lets others run a few times, which often is enough.
template <class T>
class sleeping final : public pending<T> {
 public:
  void wake() noexcept override {
    if (state_.exchange(waking, std::memory_order_acq_rel) == asleep)
      state_.notify_one();
    // The last touch: from here on the sleeper may be gone.
    state_.store(woken, std::memory_order_release);
  }

  void sleep() noexcept {
    int before = awake;
    if (state_.compare_exchange_strong(before, asleep, std::memory_order_acq_rel))
      state_.wait(asleep, std::memory_order_acquire);
    // Whoever wakes this is about to be done with it.
    while (state_.load(std::memory_order_acquire) != woken)
      std::this_thread::yield();
  }

 private:
  static constexpr int awake = 0, asleep = 1, waking = 2, woken = 3;

  std::atomic<int> state_ = awake;
};

}  // namespace detail

/// Has the calling thread wait for an operation, such as `stream.receiver.receive()`, until it is done or `token` is
/// cancelled. A token that is cancelled already refuses before anything happens. Never on a CAF scheduler thread.
template <class Operation>
expected<typename Operation::result_type> wait(Operation& operation, const cancel_token& token) {
  using result = typename Operation::result_type;
  if (is_refusable<Operation>() && token.cancelled())
    return token.reason();
  detail::sleeping<result> sleeper;
  if (auto done = operation.begin(sleeper))
    return *std::move(done);
  {
    const std::stop_callback cancel{token.stop(), [&] {
                                      if (operation.abandon(sleeper, token.reason()))
                                        sleeper.wake();
                                    }};
    tell_watched(operation);
    sleeper.sleep();
  }
  return finish(operation, *std::move(sleeper.result));
}

template <class Operation>
expected<typename Operation::result_type> wait(Operation&& operation, const cancel_token& token) {
  return wait(operation, token);
}

}  // namespace troupe
