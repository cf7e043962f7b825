#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/concurrency/error.hpp"
#include "actors/execution/queued_work.hpp"
#include "actors/serving/sequence_step.hpp"
#include "skillsets/sdk/skillset.hpp"

#include <atomic>
#include <memory>
#include <utility>

namespace troupe {

/// One request on its way through the node: what is asked, the scope that can stop it, and where the answers go. A
/// gateway derives its own call from this; the stages share it until the last of them lets go. Owned by shared_ptr. Any
/// stage may answer, from any thread; the first last word counts and what comes after it is dropped, so that a call
/// which is cancelled while it runs is answered at once and its late result goes nowhere.
class inference_call : public queued_work, public work_item {
 public:
  using queued_work::queued_work;

  /// Set by the gateway before the call is submitted, and not changed afterwards.
  inference_request input;

  /// For whoever runs it: others share its thread step by step, and `send` may not keep them waiting for this client.
  std::atomic<bool> in_company = false;

  /// Of a request to a stateful model, from its admission on.
  std::shared_ptr<sequence_step> step;

  const inference_request& request() const noexcept final { return input; }
  cancel_token token() const noexcept final { return queued_work::token(); }
  void refuse(error why) final { respond(std::move(why)); }

  /// When it was admitted, to its sequence where it has one. Only once it was.
  steady_clock::time_point admitted_at() const noexcept { return step ? step->admitted : queued_at(); }

 protected:
  /// For whoever has just decided that the last word is a response, before the client has it: what the request has done
  /// to its sequence counts.
  void commit() noexcept {
    if (step)
      step->committed = true;
  }
};

}  // namespace troupe
