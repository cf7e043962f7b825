#include "actors/concurrency/capacity_limiter.hpp"

#include <algorithm>
#include <limits>
#include <mutex>
#include <utility>

namespace troupe {

class capacity_limiter::state : public std::enable_shared_from_this<state> {
 public:
  explicit state(std::int64_t total) : total_(total) {}

  void set_total(std::int64_t total) {
    wake_list woken;
    const std::lock_guard lock{mutex_};
    total_ = total;
    admit(woken);
  }

  /// Null for `who`: without waiting. Nothing is returned when it would have to wait, or does. `borrower` lives as long
  /// as the wait.
  std::optional<expected<token>> acquire(const owner& borrower, pending<token>* who) {
    const std::lock_guard lock{mutex_};
    if (borrows(borrower))
      return borrows_already();
    if (free() && waiting_.empty())
      return grant(borrower);
    if (!who)
      return std::nullopt;
    who->owner = &borrower;
    waiting_.push_back(*who);
    return std::nullopt;
  }

  bool withdraw(pending<token>& who, error why) {
    const std::lock_guard lock{mutex_};
    return waiting_.withdraw(who, std::move(why));
  }

  void release(owner borrower) {
    wake_list woken;
    const std::lock_guard lock{mutex_};
    borrowers_.erase(std::find(borrowers_.begin(), borrowers_.end(), borrower));
    admit(woken);
  }

  std::int64_t available() const {
    const std::lock_guard lock{mutex_};
    return total_ == infinite ? std::numeric_limits<std::int64_t>::max()
                              : total_ - static_cast<std::int64_t>(borrowers_.size());
  }

  statistics stats() const {
    const std::lock_guard lock{mutex_};
    return {total_, borrowers_.size(), borrowers_, waiting_.size()};
  }

 private:
  static error borrows_already() {
    return make_error(status_code::failed_precondition, "the borrower has a token of this limiter already",
                      "give it back first, or borrow on behalf of something else");
  }

  bool borrows(owner borrower) const {
    return std::find(borrowers_.begin(), borrowers_.end(), borrower) != borrowers_.end();
  }

  bool free() const { return total_ == infinite || static_cast<std::int64_t>(borrowers_.size()) < total_; }

  token grant(owner borrower) {
    borrowers_.push_back(borrower);
    return token{shared_from_this(), borrower};
  }

  /// Lets in who waits, as far as there are tokens.
  void admit(wake_list& woken) {
    while (free() && !waiting_.empty()) {
      auto& who = static_cast<pending<token>&>(*waiting_.pop_front());
      const auto borrower = *static_cast<const owner*>(who.owner);
      // It may have asked twice before it had any.
      complete(who, borrows(borrower) ? expected<token>{borrows_already()} : expected<token>{grant(borrower)}, woken);
    }
  }

  mutable std::mutex mutex_;
  std::int64_t total_;
  std::vector<owner> borrowers_;
  wait_queue waiting_;
};

namespace {

expected<void> check_total(std::int64_t total) {
  if (total >= 0 || total == capacity_limiter::infinite)
    return {};
  return make_error(status_code::invalid_argument, "a limiter can't have " + std::to_string(total) + " tokens",
                    "give 0 or more, or capacity_limiter::infinite");
}

}  // namespace

expected<capacity_limiter> capacity_limiter::make(std::int64_t total) {
  if (const auto checked = check_total(total); !checked)
    return checked.error();
  return capacity_limiter{std::make_shared<state>(total)};
}

expected<void> capacity_limiter::set_total(std::int64_t total) {
  auto checked = check_total(total);
  if (checked)
    state_->set_total(total);
  return checked;
}

capacity_limiter::acquire_operation capacity_limiter::acquire(owner borrower) const {
  return {state_, borrower};
}

expected<capacity_limiter::token> capacity_limiter::try_acquire(owner borrower) const {
  auto acquired = state_->acquire(borrower, nullptr);
  return acquired ? *std::move(acquired) : would_block("no token of the limiter is free");
}

std::optional<capacity_limiter::token> capacity_limiter::acquire_if_free(owner borrower) const {
  auto acquired = state_->acquire(borrower, nullptr);
  return acquired && *acquired ? std::optional{**std::move(acquired)} : std::nullopt;
}

std::int64_t capacity_limiter::available() const {
  return state_->available();
}

capacity_limiter::statistics capacity_limiter::stats() const {
  return state_->stats();
}

capacity_limiter::token& capacity_limiter::token::operator=(token&& other) noexcept {
  const token replaced{std::move(*this)};
  state_ = std::move(other.state_);
  borrower_ = other.borrower_;
  return *this;
}

void capacity_limiter::token::release() {
  if (const auto of = std::exchange(state_, nullptr))
    of->release(borrower_);
}

std::optional<expected<capacity_limiter::token>> capacity_limiter::acquire_operation::begin(pending<token>& who) {
  return state_->acquire(borrower_, &who);
}

bool capacity_limiter::acquire_operation::abandon(pending<token>& who, error why) {
  return state_->withdraw(who, std::move(why));
}

}  // namespace troupe
