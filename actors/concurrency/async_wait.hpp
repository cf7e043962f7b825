#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/concurrency/pending.hpp"

#include <atomic>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>

namespace troupe {

/// A wait that holds no thread: what the kinds of callers that must not block have in common. It owns the operation, or
/// refers to it where `Operation` is a reference; watches the token, and calls `resume()` once when the result is
/// there; the owner then takes it in its own context. A result that is never taken, because its owner has gone
/// meanwhile, is given back to where it came from.
template <class Operation>
class async_wait : public pending<typename std::remove_reference_t<Operation>::result_type> {
 public:
  using result_type = typename std::remove_reference_t<Operation>::result_type;

  async_wait(Operation&& operation, cancel_token token)
      : operation_(std::forward<Operation>(operation)), token_(std::move(token)) {}

  ~async_wait() override { discard(); }

  /// Begins the operation. `resume()` may be called before this returns.
  void start() {
    if (is_refusable<std::remove_reference_t<Operation>>() && token_.cancelled())
      return complete_now(token_.reason());
    if (auto done = operation_.begin(*this))
      return complete_now(*std::move(done));
    queued_ = true;
    // From here on the result belongs to whoever completes the wait.
    on_cancel_.emplace(token_.stop(), cancel{this});
    tell_watched(operation_);
    arrive();
  }

  /// Ends the wait with an error, unless it has its result.
  void abandon(error why) {
    if (queued_ && operation_.abandon(*this, std::move(why)))
      wake();
  }

  /// Ends the wait of an owner who is gone. True when nobody will call `resume()` any more; false when somebody has, or
  /// is about to.
  bool forget() {
    return queued_ && troupe::forget<std::remove_reference_t<Operation>, result_type>(operation_, *this);
  }

  void wake() noexcept final { arrive(); }

  /// The result, for the owner, once. No longer to be cancelled.
  expected<result_type> take() {
    on_cancel_.reset();
    auto taken = *std::exchange(this->result, std::nullopt);
    return std::exchange(queued_, false) ? finish(operation_, std::move(taken)) : std::move(taken);
  }

  /// For the owner, once the result was taken: a refused item, for one, is still in there.
  std::remove_reference_t<Operation>& operation() noexcept { return operation_; }

 protected:
  /// The result is there and the wait is set up: hand it to the owner. Called once, from any thread, with no lock held.
  virtual void resume() noexcept = 0;

  /// Gives back a result that was not taken. For destructors: while the operation and what it refers to are still
  /// there.
  void discard() noexcept {
    on_cancel_.reset();
    undo<std::remove_reference_t<Operation>, result_type>(operation_, this->result);
  }

 private:
  struct cancel {
    void operator()() const { wait->abandon(wait->token_.reason()); }
    async_wait* wait;
  };

  /// Nobody else knows of the wait.
  void complete_now(expected<result_type> with) {
    this->result.emplace(std::move(with));
    arrive();
    arrive();
  }

  /// The result and the end of `start()` come in either order, and on different threads.
  void arrive() noexcept {
    if (missing_.fetch_sub(1, std::memory_order_acq_rel) == 1)
      resume();
  }

  std::atomic<int> missing_ = 2;
  bool queued_ = false;  // the operation has had to wait, and its result was not taken yet; the owner's
  Operation operation_;
  cancel_token token_;
  std::optional<std::stop_callback<cancel>> on_cancel_;
};

}  // namespace troupe
