#include "actors/serving/running_item.hpp"

#include "actors/concurrency/log.hpp"

namespace troupe {

void running_item::send(inference_response response) {
  if (ended_)
    return;
  sent_ = true;
  call_->send(std::move(response));
}

void running_item::respond(expected<inference_response> answer) {
  if (ended_)
    return;
  end(answer.has_value());
  call_->respond(std::move(answer));
}

void running_item::complete() {
  if (ended_)
    return;
  end(true);
  call_->complete();
}

const std::any& running_item::state() const noexcept {
  return call_->step && call_->step->before ? *call_->step->before : work_item::state();
}

void running_item::set_state(std::any state) {
  if (call_->step && !ended_)
    call_->step->after = std::move(state);
}

void running_item::broken(const error& why) {
  const auto cancelled = token();
  if (cancelled.cancelled())
    respond(cancelled.reason());
  else if (sent_ || std::exchange(call_->ran_before, true) || !model_->folder().idempotent)
    respond(why);
}

void running_item::end(bool success) {
  using outcome = model_statistics::outcome;
  ended_ = true;
  const auto token = call_->token();
  if (token.cancelled())
    model_->count_cancelled(token.reason(), cancel_stage::running);
  else
    model_->calls().answered();
  const auto how = token.cancelled() ? outcome::cancel : success ? outcome::success : outcome::fail;
  model_->counts().request_ended(how, steady_clock::now() - call_->admitted_at());
}

void run_again(served_model& model, std::vector<std::shared_ptr<inference_call>> calls) {
  if (calls.empty())
    return;
  const auto count = calls.size();
  for (auto& call : calls)
    model.calls().put_back(std::move(call));
  log_event(spdlog::level::warn, "requests run again", {{"model", model.name()}, {"requests", count}});
}

}  // namespace troupe
