#pragma once

#include "actors/serving/inference_call.hpp"
#include "actors/serving/served_model.hpp"

#include <any>
#include <memory>
#include <utility>
#include <vector>

namespace troupe {

/// A request as the instance that works on it sees it: passes its answers on, and counts how it ended.
class running_item final : public work_item {
 public:
  running_item(std::shared_ptr<inference_call> call, served_model& model) : call_(std::move(call)), model_(&model) {}

  const inference_request& request() const noexcept override { return call_->input; }
  cancel_token token() const noexcept override { return call_->token(); }
  void send(inference_response response) override;
  void respond(expected<inference_response> answer) override;
  void complete() override;
  const std::any& state() const noexcept override;
  void set_state(std::any state) override;

  /// It runs, for the first time or once more: what it did to its sequence before did not happen.
  void begin() noexcept {
    if (call_->step)
      call_->step->after.reset();
  }

  bool ended() const noexcept { return ended_; }

  /// Whether somebody has had a response already, so that running it again would give that twice.
  bool has_begun_to_answer() const noexcept { return sent_; }
  const std::shared_ptr<inference_call>& call() const noexcept { return call_; }

  /// The instance that had it can't work any more. Without any answer yet it may run once more, elsewhere, where the
  /// model allows it, and is left as it is; otherwise it ends with the reason.
  void broken(const error& why);

 private:
  void end(bool success);

  std::shared_ptr<inference_call> call_;
  served_model* model_;
  bool sent_ = false;
  bool ended_ = false;
};

/// Puts calls that their instance could not do back into their model's queue.
void run_again(served_model& model, std::vector<std::shared_ptr<inference_call>> calls);

}  // namespace troupe
