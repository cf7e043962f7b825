#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/concurrency/pending.hpp"

#include <atomic>
#include <memory>

namespace troupe {

/// Waits until a point in time, by the clock of a token. Its precision is the clock's.
class sleep_operation {
 public:
  using result_type = void;

  sleep_operation(clock& by, steady_clock::time_point until) : timer_(std::make_unique<alarm>(by, until)) {}

  std::optional<expected<void>> begin(pending<void>& who) { return timer_->begin(who); }
  bool abandon(pending<void>& who, error why) { return timer_->abandon(who, std::move(why)); }

 private:
  /// Stays where it is while the operation moves into the wait.
  class alarm final : public timer {
   public:
    alarm(clock& by, steady_clock::time_point until) : clock_(by), until_(until) {}
    ~alarm() override { clock_.disarm(*this); }

    std::optional<expected<void>> begin(pending<void>& who) {
      if (until_ <= clock_.now())
        return expected<void>{};
      who_ = &who;
      clock_.arm(*this, until_);
      if (until_ <= clock_.now())
        fire();  // the time passed while the timer was being set
      return std::nullopt;
    }

    bool abandon(pending<void>& who, error why) {
      if (done_.exchange(true))
        return false;
      who.result.emplace(std::move(why));
      return true;
    }

    void fire() noexcept override {
      if (done_.exchange(true))
        return;
      who_->result.emplace();
      who_->wake();
    }

   private:
    clock& clock_;
    const steady_clock::time_point until_;
    pending<void>* who_ = nullptr;
    std::atomic<bool> done_ = false;
  };

  std::unique_ptr<alarm> timer_;
};

/// Sleeps until `when` on the clock of `token`, under which it is then waited for.
inline sleep_operation sleep_until(steady_clock::time_point when, const cancel_token& token) {
  return {token.clock(), when};
}

inline sleep_operation sleep_for(steady_clock::duration time, const cancel_token& token) {
  return {token.clock(), after(time, token)};
}

}  // namespace troupe
