#include "actors/concurrency/cancel_scope.hpp"

#include <algorithm>
#include <mutex>
#include <optional>

namespace troupe {

namespace detail {

struct scope_state;

/// What a scope leaves with its parent: cancels the scope, if there still is one, for the parent's reason.
struct parent_hook {
  void operator()() const;

  std::weak_ptr<scope_state> child;
  cancel_token parent;
};

struct scope_state {
  bool cancel(error why) {
    {
      const std::lock_guard lock{mutex};
      if (reason)
        return false;
      reason = std::move(why);
    }
    source.request_stop();
    return true;
  }

  steady_clock::time_point deadline = no_deadline;
  std::stop_source source;
  mutable std::mutex mutex;
  std::optional<error> reason;
  // Last member: its destructor waits for a running callback, which uses the others.
  std::optional<std::stop_callback<parent_hook>> parent_link;
};

void parent_hook::operator()() const {
  if (const auto self = child.lock())
    self->cancel(parent.reason());
}

}  // namespace detail

bool cancel_token::cancelled() const noexcept {
  if (!state_)
    return false;
  return state_->source.stop_requested() ||
         (state_->deadline != no_deadline && steady_clock::now() >= state_->deadline);
}

std::stop_token cancel_token::stop() const noexcept {
  return state_ ? state_->source.get_token() : std::stop_token{};
}

steady_clock::time_point cancel_token::deadline() const noexcept {
  return state_ ? state_->deadline : no_deadline;
}

error cancel_token::reason() const {
  if (state_) {
    const std::lock_guard lock{state_->mutex};
    if (state_->reason)
      return *state_->reason;
    if (steady_clock::now() >= state_->deadline)
      return make_error(status_code::deadline_exceeded, "the deadline passed before the work was done");
  }
  return make_error(status_code::cancelled, "");
}

cancel_scope::cancel_scope(steady_clock::time_point deadline, const cancel_token& parent)
    : state_(std::make_shared<detail::scope_state>()) {
  state_->deadline = std::min(deadline, parent.deadline());
  if (parent.state_)
    state_->parent_link.emplace(parent.stop(), detail::parent_hook{state_, parent});
}

bool cancel_scope::cancel(error reason) {
  const auto keep = state_;  // a callback may destroy this scope
  return keep->cancel(std::move(reason));
}

}  // namespace troupe
