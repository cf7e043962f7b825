#include "actors/concurrency/semaphore.hpp"

#include <mutex>
#include <utility>

namespace troupe {

class semaphore::state : public std::enable_shared_from_this<state> {
 public:
  state(std::int64_t value, std::optional<std::int64_t> most) : value_(value), most_(most) {}

  /// Null for `who`: without waiting.
  std::optional<expected<permit>> acquire(pending<permit>* who) {
    const std::lock_guard lock{mutex_};
    if (value_ > 0 && waiting_.empty()) {
      --value_;
      return permit{shared_from_this()};
    }
    if (!who)
      return would_block("the semaphore has no permit");
    waiting_.push_back(*who);
    return std::nullopt;
  }

  bool withdraw(pending<permit>& who, error why) {
    const std::lock_guard lock{mutex_};
    return waiting_.withdraw(who, std::move(why));
  }

  expected<void> release() {
    wake_list woken;
    const std::lock_guard lock{mutex_};
    if (auto* who = waiting_.pop_front())
      complete(static_cast<pending<permit>&>(*who), expected<permit>{permit{shared_from_this()}}, woken);
    else if (most_ && value_ >= *most_)
      return make_error(status_code::failed_precondition,
                        "the semaphore has all of its " + std::to_string(*most_) + " permits",
                        "release what was acquired only");
    else
      ++value_;
    return {};
  }

  statistics stats() const {
    const std::lock_guard lock{mutex_};
    return {value_, most_, waiting_.size()};
  }

 private:
  mutable std::mutex mutex_;
  std::int64_t value_;
  const std::optional<std::int64_t> most_;
  wait_queue waiting_;
};

expected<semaphore> semaphore::make(std::int64_t value, std::optional<std::int64_t> most) {
  if (value < 0)
    return make_error(status_code::invalid_argument, "a semaphore can't have " + std::to_string(value) + " permits",
                      "give 0 or more");
  if (most && *most < value)
    return make_error(
        status_code::invalid_argument,
        "a semaphore of at most " + std::to_string(*most) + " permits can't begin with " + std::to_string(value),
        "raise the one or lower the other");
  return semaphore{std::make_shared<state>(value, most)};
}

semaphore::acquire_operation semaphore::acquire() const {
  return acquire_operation{state_};
}

expected<semaphore::permit> semaphore::try_acquire() const {
  return *state_->acquire(nullptr);
}

expected<void> semaphore::release() const {
  return state_->release();
}

semaphore::statistics semaphore::stats() const {
  return state_->stats();
}

semaphore::permit& semaphore::permit::operator=(permit&& other) noexcept {
  const permit replaced{std::move(*this)};
  state_ = std::move(other.state_);
  return *this;
}

void semaphore::permit::release() {
  // What was acquired always fits back.
  if (const auto of = std::exchange(state_, nullptr))
    static_cast<void>(of->release());
}

std::optional<expected<semaphore::permit>> semaphore::acquire_operation::begin(pending<permit>& who) {
  return state_->acquire(&who);
}

bool semaphore::acquire_operation::abandon(pending<permit>& who, error why) {
  return state_->withdraw(who, std::move(why));
}

}  // namespace troupe
