#include "actors/concurrency/gate.hpp"

namespace troupe {

/// The last one is out. Comes again with whoever is refused after that.
void gate::state::drain() noexcept {
  wake_list woken;
  const std::lock_guard lock{mutex};
  drained = true;
  while (auto* who = waiting.pop_front())
    complete(static_cast<pending<void>&>(*who), expected<void>{}, woken);
}

gate::drained_operation gate::drained() const {
  return drained_operation{state_};
}

gate::statistics gate::stats() const {
  const std::lock_guard lock{state_->mutex};
  return {inside(), closed(), state_->waiting.size()};
}

std::optional<expected<void>> gate::drained_operation::begin(pending<void>& who) {
  // Not by the count, which is down before the last one is done with the gate.
  const std::lock_guard lock{state_->mutex};
  if (state_->drained)
    return expected<void>{};
  state_->waiting.push_back(who);
  return std::nullopt;
}

bool gate::drained_operation::abandon(pending<void>& who, error why) {
  const std::lock_guard lock{state_->mutex};
  return state_->waiting.withdraw(who, std::move(why));
}

}  // namespace troupe
