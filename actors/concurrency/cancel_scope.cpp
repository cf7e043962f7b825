#include "actors/concurrency/cancel_scope.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace troupe {

namespace detail {

/// What all scopes of one tree share. Changes of any of them are made under one mutex, because a cancellation, a shield
/// and a deadline concern everything below; what is asked all the time is kept in atomics.
struct scope_tree {
  explicit scope_tree(troupe::clock& c) : clock(c) {}

  std::mutex mutex;
  troupe::clock& clock;
};

class scope_state final : public timer, public std::enable_shared_from_this<scope_state> {
 public:
  scope_state(const scope_options& options, std::shared_ptr<scope_state> parent)
      : tree_(parent ? parent->tree_ : std::make_shared<scope_tree>(options.clock ? *options.clock : real_clock())),
        parent_(std::move(parent)),
        deadline_(options.deadline),
        shield_(options.shield),
        fail_(options.fail) {
    const std::lock_guard lock{tree_->mutex};
    if (parent_) {
      next_ = std::exchange(parent_->first_child_, this);
      if (next_)
        next_->previous_ = this;
    }
    woken nobody_yet;
    refresh(nobody_yet);
  }

  ~scope_state() {
    // Out of the tree first: until then a change of a scope around may arm the timer again.
    auto chain = unlink();
    disarm();
    // A chain of scopes goes one by one: its depth must not become the depth of the stack.
    while (chain && chain.use_count() == 1)
      chain = chain->unlink();
  }

  troupe::clock& clock() const noexcept { return tree_->clock; }

  bool cancelled() noexcept {
    if (pending_.load(std::memory_order_acquire))
      return true;
    const auto deadline = effective_.load(std::memory_order_relaxed);
    if (deadline == no_deadline || clock().now() < deadline)
      return false;
    expire();
    return pending_.load(std::memory_order_acquire);
  }

  bool cancel(error reason, bool timed_out = false) {
    reason.cancellation = true;
    return change([&] {
      if (cancel_called_)
        return false;
      cancel_called_ = true;
      timed_out_ = timed_out;
      own_reason_ = std::move(reason);
      return true;
    });
  }

  void set_deadline(steady_clock::time_point deadline) {
    change([&] {
      deadline_ = deadline;
      return true;
    });
    cancelled();
  }

  void set_shield(bool shield) {
    change([&] {
      shield_ = shield;
      return true;
    });
    cancelled();
  }

  std::stop_token stop() {
    cancelled();
    auto token = watched();
    // The deadline may have passed while the timer was being set: then nobody is to wait for the clock to move again.
    cancelled();
    return token;
  }

  error reason() {
    cancelled();
    const std::lock_guard lock{tree_->mutex};
    return reason_ ? *reason_ : make_error(status_code::cancelled, "");
  }

  steady_clock::time_point effective_deadline() const noexcept { return effective_.load(std::memory_order_relaxed); }

  template <class T>
  T read(T scope_state::*member) const noexcept {
    const std::lock_guard lock{tree_->mutex};
    return this->*member;
  }

  steady_clock::time_point deadline() const noexcept { return read(&scope_state::deadline_); }
  bool shield() const noexcept { return read(&scope_state::shield_); }
  bool caught() const noexcept { return read(&scope_state::caught_); }
  bool cancel_called() noexcept {
    cancelled();
    return read(&scope_state::cancel_called_);
  }

  expected<void> leave(expected<void> outcome) {
    cancelled();
    const std::lock_guard lock{tree_->mutex};
    if (std::exchange(left_, true))
      return make_error(status_code::failed_precondition, "the scope was left before", "leave a scope once");
    // Where a scope around was cancelled too, that one catches, unless a shield keeps it from being seen here.
    const bool outer = !shield_ && parent_ && parent_->pending_;
    if (outcome || !cancel_called_ || outer)
      return outcome;
    if (auto rest = without_cancellations(std::move(outcome).error()))
      return *std::move(rest);
    caught_ = true;
    if (!fail_ || !timed_out_)
      return {};
    auto timeout = *own_reason_;
    timeout.cancellation = false;
    return timeout;
  }

 private:
  /// The stop sources that a change has to request, which is done without the lock.
  class woken {
   public:
    void add(const std::stop_source& source) { sources_.push_back(source); }
    void request_stop() noexcept {
      for (auto& source : sources_)
        source.request_stop();
    }

   private:
    std::vector<std::stop_source> sources_;
  };

  /// Makes a change under the lock, has everything inside follow it, and tells whoever waits without the lock. False
  /// when `apply` says that there was nothing to change.
  template <class Apply>
  bool change(Apply apply) {
    woken all;
    {
      const std::lock_guard lock{tree_->mutex};
      if (!apply())
        return false;
      refresh_subtree(all);
    }
    all.request_stop();
    return true;
  }

  std::stop_token watched() {
    const std::lock_guard lock{tree_->mutex};
    if (!source_) {
      source_.emplace();
      if (pending_)
        source_->request_stop();
      else
        arm(effective_);
    }
    return source_->get_token();
  }

  /// Derives what is kept from the scope itself and its parent. True when that changed something for those inside.
  bool refresh(woken& all) {
    const bool open = parent_ && !shield_;
    const auto effective = open ? std::min(deadline_, parent_->effective_.load()) : deadline_;
    const bool was = pending_;
    const bool is = cancel_called_ || (open && parent_->pending_);
    if (is == was && effective == effective_.load())
      return false;
    effective_ = effective;
    if (is && !was) {
      reason_ = cancel_called_ ? own_reason_ : parent_->reason_;
      if (source_)
        all.add(*source_);
    }
    if (was && !is)
      source_.reset();  // one that was requested can't be taken back
    pending_.store(is, std::memory_order_release);
    if (source_)
      arm(is ? no_deadline : effective);
    return true;
  }

  /// The same for all scopes below as well, as far as they are concerned, without recursion: they may be nested to any
  /// depth.
  void refresh_subtree(woken& all) {
    std::vector<scope_state*> rest{this};
    while (!rest.empty()) {
      auto* state = rest.back();
      rest.pop_back();
      if (!state->refresh(all))
        continue;
      for (auto* child = state->first_child_; child; child = child->next_)
        rest.push_back(child);
    }
  }

  /// Most scopes have no deadline and never trouble the clock, whose lock is everybody's.
  void arm(steady_clock::time_point when) {
    if (when == no_deadline && !armed_)
      return;
    armed_ = true;
    clock().arm(*this, when);
  }

  void disarm() noexcept {
    if (armed_)
      clock().disarm(*this);
  }

  /// Cancels every scope, from this one to the nearest shield, whose deadline has passed.
  void expire() noexcept {
    const auto now = clock().now();
    std::vector<std::shared_ptr<scope_state>> late;
    {
      const std::lock_guard lock{tree_->mutex};
      for (auto* state = this; state; state = state->shield_ ? nullptr : state->parent_.get())
        if (!state->cancel_called_ && state->deadline_ <= now)
          late.push_back(state->shared_from_this());
    }
    // The outermost first, so that its reason is the one that those inside inherit.
    std::for_each(late.rbegin(), late.rend(), [](const auto& state) {
      state->cancel(make_error(status_code::deadline_exceeded, "the deadline passed before the work was done"), true);
    });
  }

  /// The clock's thread.
  void fire() noexcept override {
    if (const auto self = weak_from_this().lock())
      self->cancelled();
  }

  /// Leaves the scope around, and gives it away.
  std::shared_ptr<scope_state> unlink() noexcept {
    const std::lock_guard lock{tree_->mutex};
    if (!parent_)
      return nullptr;
    (previous_ ? previous_->next_ : parent_->first_child_) = next_;
    if (next_)
      next_->previous_ = previous_;
    return std::move(parent_);
  }

  const std::shared_ptr<scope_tree> tree_;
  std::shared_ptr<scope_state> parent_;

  std::atomic<bool> pending_ = false;
  std::atomic<steady_clock::time_point> effective_{no_deadline};

  // Guarded by the tree's mutex.
  steady_clock::time_point deadline_;
  bool shield_;
  const bool fail_;
  bool left_ = false;
  bool cancel_called_ = false;
  bool timed_out_ = false;  // the deadline called it
  bool caught_ = false;
  bool armed_ = false;  // at any time
  std::optional<error> own_reason_;
  std::optional<error> reason_;  // own, or that of the scope around; kept for waits that a shield came too late for
  std::optional<std::stop_source> source_;
  scope_state* first_child_ = nullptr;
  scope_state* next_ = nullptr;
  scope_state* previous_ = nullptr;
};

}  // namespace detail

// -- cancel_token -----------------------------------------------------------------------------------------------------

bool cancel_token::cancelled() const noexcept {
  return state_ && state_->cancelled();
}

expected<void> cancel_token::check() const {
  return cancelled() ? expected<void>{reason()} : expected<void>{};
}

std::stop_token cancel_token::stop() const {
  return state_ ? state_->stop() : std::stop_token{};
}

steady_clock::time_point cancel_token::effective_deadline() const noexcept {
  return cancelled() ? steady_clock::time_point::min() : deadline();
}

steady_clock::time_point cancel_token::deadline() const noexcept {
  return state_ ? state_->effective_deadline() : no_deadline;
}

error cancel_token::reason() const {
  return state_ ? state_->reason() : make_error(status_code::cancelled, "");
}

troupe::clock& cancel_token::clock() const noexcept {
  return state_ ? state_->clock() : real_clock();
}

// -- cancel_scope -----------------------------------------------------------------------------------------------------

cancel_scope::cancel_scope(steady_clock::time_point deadline, const cancel_token& parent)
    : cancel_scope(scope_options{deadline, false, false, nullptr}, parent) {}

cancel_scope::cancel_scope(const scope_options& options, const cancel_token& parent)
    : state_(std::make_shared<detail::scope_state>(options, parent.state_)) {}

bool cancel_scope::cancel(error reason) {
  const auto keep = state_;  // a callback may destroy this scope
  keep->cancelled();         // a deadline that has passed came first
  return keep->cancel(std::move(reason));
}

void cancel_scope::set_deadline(steady_clock::time_point deadline) {
  const auto keep = state_;
  keep->set_deadline(deadline);
}

void cancel_scope::set_shield(bool shield) {
  const auto keep = state_;
  keep->set_shield(shield);
}

steady_clock::time_point cancel_scope::deadline() const noexcept {
  return state_->deadline();
}

bool cancel_scope::shield() const noexcept {
  return state_->shield();
}

bool cancel_scope::cancel_called() const noexcept {
  return state_->cancel_called();
}

bool cancel_scope::cancelled_caught() const noexcept {
  return state_->caught();
}

expected<void> cancel_scope::leave(expected<void> outcome) {
  return state_->leave(std::move(outcome));
}

cancel_scope move_on_at(steady_clock::time_point deadline, const cancel_token& parent) {
  return cancel_scope{deadline, parent};
}

cancel_scope move_on_after(steady_clock::duration time, const cancel_token& parent) {
  return move_on_at(after(time, parent), parent);
}

cancel_scope fail_at(steady_clock::time_point deadline, const cancel_token& parent) {
  return cancel_scope{scope_options{deadline, false, true, nullptr}, parent};
}

cancel_scope fail_after(steady_clock::duration time, const cancel_token& parent) {
  return fail_at(after(time, parent), parent);
}

steady_clock::time_point after(steady_clock::duration time, const cancel_token& token) noexcept {
  const auto now = token.clock().now();
  return time >= no_deadline - now ? no_deadline : now + time;
}

}  // namespace troupe
