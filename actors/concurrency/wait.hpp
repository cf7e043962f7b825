#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/concurrency/pending.hpp"

#include <condition_variable>
#include <mutex>

namespace troupe {

namespace detail {

/// A thread that sleeps until its wait is completed.
template <class T>
class sleeping final : public pending<T> {
 public:
  void wake() noexcept override {
    // Notified under the lock: the sleeper can't see it and be gone before the notification is over.
    const std::lock_guard lock{mutex_};
    woken_ = true;
    changed_.notify_one();
  }

  void sleep() {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [this] { return woken_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
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
