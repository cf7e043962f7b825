#include "actors/concurrency/lock.hpp"

#include <limits>
#include <mutex>
#include <utility>

namespace troupe {

namespace detail {

/// The state of a lock. Its conditions keep theirs under the same mutex, because a wait moves from one queue to the
/// other in one step.
class lock_state : public std::enable_shared_from_this<lock_state> {
 public:
  std::mutex& mutex() noexcept { return mutex_; }

  /// Takes the lock or queues for it; true when it was free. Under the mutex, as are all that follow.
  bool take_or_queue(waiter& waiting, lock_request& request) {
    if (!holder_) {
      holder_ = request.who;
      return true;
    }
    waiting.subject = &request;
    waiting_.push_back(waiting);
    return false;
  }

  bool take(owner who) {
    if (holder_)
      return false;
    holder_ = who;
    return true;
  }

  bool held_by(owner who) const { return holder_ == who; }

  /// Passes the lock to the first who waits.
  void pass_on(wake_list& woken) {
    holder_.reset();
    if (auto* next = waiting_.pop_front()) {
      auto& request = *static_cast<lock_request*>(next->subject);
      holder_ = request.who;
      request.granted(*next, request, *this, woken);
    }
  }

  template <class T>
  bool withdraw(pending<T>& who, error why) {
    return waiting_.withdraw(who, std::move(why));
  }

  lock::guard guard_for(owner who) { return {shared_from_this(), who}; }

  lock::statistics stats() const { return {holder_.has_value(), holder_.value_or(owner{}), waiting_.size()}; }

 private:
  std::mutex mutex_;
  std::optional<owner> holder_;
  wait_queue waiting_;
};

}  // namespace detail

namespace {

error would_wait_for_itself() {
  return make_error(status_code::failed_precondition, "the lock is held by who asks for it",
                    "a lock is not recursive: pass the guard along");
}

error not_held() {
  return make_error(status_code::failed_precondition, "the lock is not held", "acquire it first");
}

}  // namespace

// -- lock -------------------------------------------------------------------------------------------------------------

lock::lock() : state_(std::make_shared<detail::lock_state>()) {}

lock::acquire_operation lock::acquire(owner who) const {
  return {state_, who};
}

expected<lock::guard> lock::try_acquire(owner who) const {
  const std::lock_guard hold{state_->mutex()};
  if (state_->held_by(who))
    return would_wait_for_itself();
  if (!state_->take(who))
    return would_block("the lock is held");
  return state_->guard_for(who);
}

lock::statistics lock::stats() const {
  const std::lock_guard hold{state_->mutex()};
  return state_->stats();
}

lock::guard& lock::guard::operator=(guard&& other) noexcept {
  std::swap(state_, other.state_);
  std::swap(who_, other.who_);
  return *this;
}

lock::guard::~guard() {
  if (state_)
    static_cast<void>(release());
}

expected<void> lock::guard::release() {
  const auto of = std::exchange(state_, nullptr);
  if (!of)
    return not_held();
  wake_list woken;
  const std::lock_guard hold{of->mutex()};
  of->pass_on(woken);
  return {};
}

lock::acquire_operation::acquire_operation(std::shared_ptr<detail::lock_state> of, owner who)
    : state_(std::move(of)),
      request_{who, [](waiter& waiting, detail::lock_request& request, detail::lock_state& by, wake_list& woken) {
                 complete(static_cast<pending<guard>&>(waiting), expected<guard>{by.guard_for(request.who)}, woken);
               }} {}

std::optional<expected<lock::guard>> lock::acquire_operation::begin(pending<guard>& who) {
  const std::lock_guard hold{state_->mutex()};
  if (state_->held_by(request_.who))
    return would_wait_for_itself();
  if (state_->take_or_queue(who, request_))
    return state_->guard_for(request_.who);
  return std::nullopt;
}

bool lock::acquire_operation::abandon(pending<guard>& who, error why) {
  const std::lock_guard hold{state_->mutex()};
  return state_->withdraw(who, std::move(why));
}

// -- condition --------------------------------------------------------------------------------------------------------

struct condition::state {
  std::shared_ptr<detail::lock_state> lock;
  wait_queue waiting;
};

condition::condition(lock of) : state_(std::make_shared<state>()) {
  state_->lock = std::move(of.state_);
}

condition::wait_operation condition::wait(lock::guard& holding) const {
  return {state_, holding};
}

expected<void> condition::notify(const lock::guard& holding, std::size_t count) {
  wake_list woken;
  const std::lock_guard hold{state_->lock->mutex()};
  if (holding.state_ != state_->lock)
    return not_held();
  for (; count > 0 && !state_->waiting.empty(); --count) {
    auto& who = *state_->waiting.pop_front();
    // The notifier holds the lock, so that everybody who is woken queues for it.
    state_->lock->take_or_queue(who, *static_cast<detail::lock_request*>(who.subject));
  }
  return {};
}

expected<void> condition::notify_all(const lock::guard& holding) {
  return notify(holding, std::numeric_limits<std::size_t>::max());
}

condition::statistics condition::stats() const {
  const std::lock_guard hold{state_->lock->mutex()};
  return {state_->waiting.size(), state_->lock->stats()};
}

condition::wait_operation::wait_operation(std::shared_ptr<state> of, lock::guard& holding)
    : state_(std::move(of)),
      holding_(&holding),
      request_{holding.who_, [](waiter& waiting, detail::lock_request& request, detail::lock_state&, wake_list& woken) {
                 complete(static_cast<pending<void>&>(waiting),
                          request.outcome ? expected<void>{*request.outcome} : expected<void>{}, woken);
               }} {}

std::optional<expected<void>> condition::wait_operation::begin(pending<void>& who) {
  wake_list woken;
  const std::lock_guard hold{state_->lock->mutex()};
  if (holding_->state_ != state_->lock)
    return not_held();
  who.subject = &request_;
  state_->waiting.push_back(who);
  state_->lock->pass_on(woken);
  return std::nullopt;
}

bool condition::wait_operation::abandon(pending<void>& who, error why) {
  const std::lock_guard hold{state_->lock->mutex()};
  if (!state_->waiting.erase(who))
    return false;  // notified, and on its way to the lock
  if (!state_->lock->take_or_queue(who, request_)) {
    request_.outcome = std::move(why);
    return false;
  }
  who.result.emplace(std::move(why));
  return true;
}

}  // namespace troupe
