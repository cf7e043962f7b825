#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/concurrency/error.hpp"
#include "skillsets/sdk/skillset.hpp"

#include <string_view>

namespace troupe {

/// One request on its way through the node: what is asked, the scope that can stop it, and where the answer goes. A
/// gateway derives its own call from this; the stages share it until the last of them lets go. Owned by shared_ptr.
class inference_call {
 public:
  explicit inference_call(steady_clock::time_point deadline = no_deadline, const cancel_token& parent = {})
      : scope_(deadline, parent) {}
  virtual ~inference_call() = default;

  inference_call(const inference_call&) = delete;
  inference_call& operator=(const inference_call&) = delete;

  /// Set by the gateway before the call is submitted, and not changed afterwards.
  inference_request input;

  cancel_scope& scope() noexcept { return scope_; }
  cancel_token token() const noexcept { return scope_.token(); }

  /// Gives the answer. Any stage may call it, from any thread; the first answer counts and the others are dropped, so
  /// that a call which is cancelled while it runs is answered at once and its late result goes nowhere.
  virtual void respond(expected<inference_response> answer) = 0;

 private:
  cancel_scope scope_;
};

}  // namespace troupe
