#include "actors/serving/model_statistics.hpp"

#include <algorithm>
#include <chrono>

namespace troupe {

std::string_view to_string(cancel_cause cause) noexcept {
  switch (cause) {
    case cancel_cause::client:
      return "client";
    case cancel_cause::deadline:
      return "deadline";
    case cancel_cause::unload:
      return "unload";
    case cancel_cause::stop:
      break;
  }
  return "stop";
}

std::string_view to_string(cancel_stage stage) noexcept {
  return stage == cancel_stage::queued ? "queued" : "running";
}

void model_statistics::request_ended(outcome how, steady_clock::duration took) noexcept {
  auto& which = how == outcome::success ? success_ : how == outcome::fail ? fail_ : cancel_;
  which.add(took);
}

void model_statistics::request_executed(steady_clock::duration queued, steady_clock::duration ran) noexcept {
  queue_.add(queued);
  const auto bound = std::lower_bound(wait_bounds.begin(), wait_bounds.end(), queued);
  waits_[static_cast<std::size_t>(bound - wait_bounds.begin())].fetch_add(1, std::memory_order_relaxed);
  infer_.add(ran);
}

void model_statistics::batch_executed(std::int64_t items, steady_clock::duration took) {
  executed(items, items, took);
}

void model_statistics::step_executed(std::int64_t requests, std::int64_t finished, steady_clock::duration took) {
  executed(requests, finished, took);
}

void model_statistics::executed(std::int64_t size, std::int64_t finished, steady_clock::duration took) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const std::lock_guard lock{mutex_};
  inferences_ += static_cast<std::uint64_t>(finished);
  ++executions_;
  last_inference_ms_ = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
  auto& infer = batches_[size];
  ++infer.count;
  infer.ns += static_cast<std::uint64_t>(std::chrono::nanoseconds{took}.count());
}

model_statistics::snapshot model_statistics::read() const {
  snapshot now;
  now.success = success_.read();
  now.fail = fail_.read();
  now.cancel = cancel_.read();
  now.queue = queue_.read();
  now.input = input_.read();
  now.infer = infer_.read();
  now.output = output_.read();
  now.retried = retried_.load(std::memory_order_relaxed);
  std::transform(waits_.begin(), waits_.end(), now.waits.begin(),
                 [](const auto& count) { return count.load(std::memory_order_relaxed); });
  std::transform(cancelled_.begin(), cancelled_.end(), now.cancelled.begin(),
                 [](const auto& count) { return count.load(std::memory_order_relaxed); });
  const std::lock_guard lock{mutex_};
  now.inferences = inferences_;
  now.executions = executions_;
  now.last_inference_ms = last_inference_ms_;
  now.batches = batches_;
  return now;
}

}  // namespace troupe
