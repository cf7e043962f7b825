#include "actors/concurrency/lock.hpp"

#include <limits>
#include <mutex>
#include <utility>

namespace troupe {

namespace detail {

/// The state of a lock. Its conditions keep theirs under the same mutex, because a wait moves from one queue to the
/// other in one step.
class lock_state {
 public:
  std::mutex& mutex() noexcept { return mutex_; }

  /// False where somebody holds it. Under the mutex, as are all that follow.
  bool take(lock_turn& turn) {
    if (holder_)
      return false;
    holder_ = turn.who;
    turn.holding = true;
    return true;
  }

  void queue(waiter& waiting, lock_request& request) {
    waiting.subject = &request;
    waiting_.push_back(waiting);
  }

  /// Lets somebody in at once who has a wait to be completed, or queues it.
  void admit(waiter& waiting, lock_request& request, wake_list& woken) {
    if (holder_)
      queue(waiting, request);
    else
      grant(waiting, request, woken);
  }

  bool held_by(owner who) const { return holder_ == who; }

  /// Passes the lock to the first who waits.
  void pass_on(lock_turn& from, wake_list& woken) {
    from.holding = false;
    holder_.reset();
    while (!holder_ && !waiting_.empty()) {
      auto& next = *waiting_.pop_front();
      grant(next, *static_cast<lock_request*>(next.subject), woken);
    }
  }

  template <class T>
  bool withdraw(pending<T>& who, error why) {
    return waiting_.withdraw(who, std::move(why));
  }

  bool erase(waiter& who) noexcept { return waiting_.erase(who); }

  lock::statistics stats() const { return {holder_.has_value(), holder_.value_or(owner{}), waiting_.size()}; }

 private:
  void grant(waiter& waiting, lock_request& request, wake_list& woken) {
    if (!request.turn->gone)
      take(*request.turn);
    request.granted(waiting, woken);
  }

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
  auto turn = std::make_shared<detail::lock_turn>(detail::lock_turn{state_, who});
  const std::lock_guard hold{state_->mutex()};
  if (state_->held_by(who))
    return would_wait_for_itself();
  if (!state_->take(*turn))
    return would_block("the lock is held");
  return guard{std::move(turn)};
}

lock::statistics lock::stats() const {
  const std::lock_guard hold{state_->mutex()};
  return state_->stats();
}

lock::guard& lock::guard::operator=(guard&& other) noexcept {
  const guard replaced{std::move(*this)};
  turn_ = std::move(other.turn_);
  return *this;
}

lock::guard::~guard() {
  const auto turn = std::move(turn_);
  if (!turn)
    return;
  wake_list woken;
  const std::lock_guard hold{turn->of->mutex()};
  turn->gone = true;
  if (turn->holding)
    turn->of->pass_on(*turn, woken);
}

expected<void> lock::guard::release() {
  if (!turn_)
    return not_held();
  wake_list woken;
  const std::lock_guard hold{turn_->of->mutex()};
  if (!turn_->holding)
    return not_held();
  turn_->of->pass_on(*turn_, woken);
  return {};
}

lock::acquire_operation::acquire_operation(std::shared_ptr<detail::lock_state> of, owner who)
    : lock_request(nullptr), state_(std::move(of)), who_(who) {}

std::optional<expected<lock::guard>> lock::acquire_operation::begin(pending<guard>& who) {
  turn = std::make_shared<detail::lock_turn>(detail::lock_turn{state_, who_});
  const std::lock_guard hold{state_->mutex()};
  if (state_->held_by(who_))
    return would_wait_for_itself();
  if (state_->take(*turn))
    return guard{std::move(turn)};
  state_->queue(who, *this);
  return std::nullopt;
}

bool lock::acquire_operation::abandon(pending<guard>& who, error why) {
  const std::lock_guard hold{state_->mutex()};
  return state_->withdraw(who, std::move(why));
}

void lock::acquire_operation::granted(waiter& waiting, wake_list& woken) {
  complete(static_cast<pending<guard>&>(waiting), expected<guard>{guard{std::move(turn)}}, woken);
}

// -- condition --------------------------------------------------------------------------------------------------------

struct condition::state {
  std::shared_ptr<detail::lock_state> lock;
  wait_queue waiting;

  bool held_through(const std::shared_ptr<detail::lock_turn>& turn) const {
    return turn && turn->of == lock && turn->holding;
  }

  /// Sends the first who waits to the lock.
  void notify(wake_list& woken) {
    if (auto* who = waiting.pop_front())
      lock->admit(*who, *static_cast<detail::lock_request*>(who->subject), woken);
  }
};

condition::condition(lock of) : state_(std::make_shared<state>()) {
  state_->lock = std::move(of.state_);
}

condition::wait_operation condition::wait(const lock::guard& holding) const {
  return {state_, holding};
}

expected<void> condition::notify(const lock::guard& holding, std::size_t count) {
  wake_list woken;
  const std::lock_guard hold{state_->lock->mutex()};
  if (!state_->held_through(holding.turn_))
    return not_held();
  for (; count > 0 && !state_->waiting.empty(); --count)
    state_->notify(woken);
  return {};
}

expected<void> condition::notify_all(const lock::guard& holding) {
  return notify(holding, std::numeric_limits<std::size_t>::max());
}

condition::statistics condition::stats() const {
  const std::lock_guard hold{state_->lock->mutex()};
  return {state_->waiting.size(), state_->lock->stats()};
}

condition::wait_operation::wait_operation(std::shared_ptr<state> of, const lock::guard& holding)
    : lock_request(holding.turn_), state_(std::move(of)) {}

std::optional<expected<void>> condition::wait_operation::begin(pending<void>& who) {
  wake_list woken;
  const std::lock_guard hold{state_->lock->mutex()};
  if (!state_->held_through(turn))
    return not_held();
  refused_.reset();
  who.subject = static_cast<lock_request*>(this);
  state_->waiting.push_back(who);
  state_->lock->pass_on(*turn, woken);
  return std::nullopt;
}

bool condition::wait_operation::abandon(pending<void>& who, error why) {
  const std::lock_guard hold{state_->lock->mutex()};
  if (!state_->waiting.erase(who))
    return false;  // notified, and on its way to the lock
  if (turn->gone || state_->lock->take(*turn)) {
    who.result.emplace(std::move(why));
    return true;
  }
  refused_ = std::move(why);
  state_->lock->queue(who, *this);
  return false;
}

/// Nobody will look at the result, and the guard is gone or about to go.
bool condition::wait_operation::forget(pending<void>& who) {
  wake_list woken;
  const std::lock_guard hold{state_->lock->mutex()};
  if (!state_->waiting.erase(who)) {
    if (!state_->lock->erase(who))
      return false;
    if (!refused_)
      state_->notify(woken);
  }
  turn->gone = true;
  return true;
}

/// The notification reached nobody: it is the next one's.
void condition::wait_operation::undo() {
  wake_list woken;
  const std::lock_guard hold{state_->lock->mutex()};
  state_->notify(woken);
}

void condition::wait_operation::granted(waiter& waiting, wake_list& woken) {
  auto& who = static_cast<pending<void>&>(waiting);
  if (turn->gone && !refused_)
    state_->notify(woken);
  if (turn->gone)
    complete(who, expected<void>{not_held()}, woken);
  else
    complete(who, refused_ ? expected<void>{*refused_} : expected<void>{}, woken);
}

}  // namespace troupe
