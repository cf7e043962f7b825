#pragma once

#include "actors/concurrency/await.hpp"
#include "actors/concurrency/cancel_scope.hpp"
#include "actors/concurrency/gate.hpp"

#include <chrono>
#include <utility>

namespace troupe {

/// How long a gateway that stops waits: for what is under way, and for what was cut off then.
struct drain_times {
  std::chrono::milliseconds drain;
  std::chrono::milliseconds grace;
};

/// Waits, for a gateway that lets nobody in any more, until all calls have left, as long as the drain, or until
/// `skip_drain` is cancelled; then has those that are left cut off, and waits for them as long as the grace. Calls
/// `close` in the end, in the actor's context like `cut_off`. The calls live as long as the actor.
template <class Self, class CutOff, class Close>
void drain_calls(Self* self, gate& calls, drain_times times, const cancel_token& skip_drain, CutOff cut_off,
                 Close close) {
  const cancel_scope drain{after(times.drain, skip_drain), skip_drain};
  await(self, calls.drained(), drain.token(), [=, &calls](const expected<void>& drained) {
    // A drain that is skipped from the beginning has not looked.
    if (drained || calls.inside() == 0)
      return close();
    cut_off();
    const cancel_scope grace{{.deadline = after(times.grace, skip_drain), .shield = true}, skip_drain};
    await(self, calls.drained(), grace.token(), [close](const expected<void>&) { close(); });
  });
}

}  // namespace troupe
