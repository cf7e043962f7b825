#include "actors/concurrency/event.hpp"

namespace troupe {

void event::set() {
  wake_list woken;
  const std::lock_guard lock{state_->mutex};
  state_->set = true;
  while (auto* who = state_->waiting.pop_front())
    complete(static_cast<pending<void>&>(*who), expected<void>{}, woken);
}

bool event::is_set() const {
  const std::lock_guard lock{state_->mutex};
  return state_->set;
}

event::wait_operation event::wait() const {
  return wait_operation{state_};
}

event::statistics event::stats() const {
  const std::lock_guard lock{state_->mutex};
  return {state_->waiting.size()};
}

std::optional<expected<void>> event::wait_operation::begin(pending<void>& who) {
  const std::lock_guard lock{state_->mutex};
  if (state_->set)
    return expected<void>{};
  state_->waiting.push_back(who);
  return std::nullopt;
}

bool event::wait_operation::abandon(pending<void>& who, error why) {
  const std::lock_guard lock{state_->mutex};
  return state_->waiting.withdraw(who, std::move(why));
}

}  // namespace troupe
