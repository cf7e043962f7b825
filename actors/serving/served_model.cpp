#include "actors/serving/served_model.hpp"

#include "actors/concurrency/log.hpp"
#include "actors/serving/inference_call.hpp"

namespace troupe {

namespace {

served_model::queue make_queue(const model_folder& folder) {
  return *make_stream<std::shared_ptr<inference_call>>(static_cast<std::int64_t>(folder.limits.queue));
}

}  // namespace

std::string_view to_string(model_state state) noexcept {
  switch (state) {
    case model_state::loading:
      return "LOADING";
    case model_state::ready:
      return "READY";
    case model_state::unavailable:
      break;
  }
  return "UNAVAILABLE";
}

served_model::served_model(model_folder folder, std::function<void()> on_change)
    : folder_(std::move(folder)), on_change_(std::move(on_change)), calls_(make_queue(folder_)) {}

served_model::status served_model::current() const {
  const std::lock_guard lock{mutex_};
  return status_;
}

expected<void> served_model::submit(std::shared_ptr<inference_call> call) {
  if (!ready()) {
    const auto [state, reason] = current();
    return make_error(
        status_code::unavailable,
        "model '" + name() + "' is " + std::string{to_string(state)} + (reason.empty() ? "" : ": " + reason),
        "ask ModelReady until it is ready");
  }
  if (const auto sent = calls_.sender.try_send(std::shared_ptr{call}); !sent) {
    counts_.refused.fetch_add(1, std::memory_order_relaxed);
    return make_error(
        status_code::resource_exhausted,
        "the queue of model '" + name() + "' is full with " + std::to_string(folder_.limits.queue) + " requests",
        "try again later, or raise limits.queue in model.toml");
  }
  counts_.admitted.fetch_add(1, std::memory_order_relaxed);
  log_event(spdlog::level::trace, "admitted", {{"model", name()}});
  // The model may have become unavailable, and its queue been emptied, between the question and the sending; or while
  // an instance had the call in hand, which then put it back.
  if (!ready() && withdraw(*call))
    return make_error(status_code::unavailable, "model '" + name() + "' is being stopped");
  return {};
}

bool served_model::withdraw(const inference_call& call) {
  const auto taken = calls_.receiver.take_if([&](const auto& queued) { return queued.get() == &call; });
  counts_.withdrawn.fetch_add(taken.size(), std::memory_order_relaxed);
  return !taken.empty();
}

void served_model::withdraw_cancelled() {
  const auto taken = calls_.receiver.take_if([](const auto& queued) { return queued->token().cancelled(); });
  counts_.withdrawn.fetch_add(taken.size(), std::memory_order_relaxed);
  for (const auto& call : taken)
    call->respond(call->token().reason());
}

void served_model::set_ready(const signature& what) {
  if (!owned_signature_) {
    owned_signature_ = std::make_unique<const signature>(what);
    signature_.store(owned_signature_.get(), std::memory_order_release);
  }
  change(model_state::ready, {});
}

void served_model::set_loading() {
  change(model_state::loading, {});
}

void served_model::set_unavailable(const error& reason) {
  change(model_state::unavailable, reason.message());
  for (const auto& call : calls_.receiver.take_if([](const auto&) { return true; }))
    call->respond(make_error(status_code::unavailable, "model '" + name() + "' is UNAVAILABLE: " + reason.message()));
}

void served_model::change(model_state state, std::string reason) {
  {
    const std::lock_guard lock{mutex_};
    status_ = {state, std::move(reason)};
    ready_.store(state == model_state::ready, std::memory_order_release);
  }
  on_change_();
}

}  // namespace troupe
