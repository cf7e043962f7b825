#include "actors/serving/instance_runner.hpp"

#include <exception>

namespace troupe {

expected<inference_response> run_contained(instance& worker, const inference_request& request,
                                           const cancel_token& token) noexcept {
  try {
    return worker.run(request, token);
  } catch (const std::exception& e) {
    return make_error(status_code::internal, std::string{"the skillset failed: "} + e.what());
  } catch (...) {
    return make_error(status_code::internal, "the skillset threw something that is no exception");
  }
}

instance_runner::instance_runner(std::unique_ptr<instance> worker, std::shared_ptr<served_model> model,
                                 std::shared_ptr<executor_pool> pool)
    : worker_(std::move(worker)), model_(std::move(model)), pool_(std::move(pool)) {}

void instance_runner::stop(error reason, std::function<void()> on_stopped) {
  std::shared_ptr<inference_call> running;
  {
    const std::lock_guard lock{mutex_};
    on_stopped_ = std::move(on_stopped);
    stopping_ = true;
    running = current_;
  }
  if (running)
    running->scope().cancel(std::move(reason));
  // Whoever takes the runner out of the queue ends it: here when it sleeps, in run() otherwise.
  if (model_->calls().unpark(*this))
    finish();
}

void instance_runner::wake() {
  // Once parked again the runner belongs to the next waker, and may be gone before this one is done with it.
  const auto self = shared_from_this();
  const auto pool = pool_;
  bool more = true;
  if (pool->try_lease()) {
    more = run_immediate();
    pool->release();
  }
  if (more)
    enqueue();
}

/// Runs calls here and now for as long as they are immediate; true when there may be more for a thread of the pool.
bool instance_runner::run_immediate() {
  while (auto call = take()) {
    if (!worker_->immediate(call->input)) {
      held_ = std::move(call);
      return true;
    }
    execute(*call);
    if (pool_->contended())
      return true;
  }
  return false;
}

void instance_runner::enqueue() {
  if (!pool_->submit(shared_from_this()) && stopping_)
    finish();
}

void instance_runner::run() noexcept {
  for (auto call = held_ ? std::move(held_) : take(); call; call = take()) {
    execute(*call);
    if (pool_->contended()) {
      enqueue();
      return;
    }
  }
}

/// The next call; null when there is none and the runner is parked, or it has stopped. Whoever gets null owns the
/// runner no more.
std::shared_ptr<inference_call> instance_runner::take() {
  auto& calls = model_->calls();
  {
    // Under the lock that stop() takes, so that nothing is taken after a stop.
    const std::lock_guard lock{mutex_};
    current_.reset();
    if (!stopping_) {
      if (auto call = calls.receive_or_park(*this))
        current_ = *std::move(call);
      return current_;
    }
  }
  calls.pass_on();
  finish();
  return nullptr;
}

void instance_runner::execute(inference_call& call) {
  const auto token = call.token();
  if (token.cancelled()) {
    model_->counts().withdrawn.fetch_add(1, std::memory_order_relaxed);
    call.respond(token.reason());
  } else {
    model_->counts().executed.fetch_add(1, std::memory_order_relaxed);
    call.respond(run_contained(*worker_, call.input, token));
  }
}

void instance_runner::finish() {
  std::function<void()> on_stopped;
  {
    const std::lock_guard lock{mutex_};
    on_stopped = std::exchange(on_stopped_, nullptr);
  }
  if (on_stopped)
    on_stopped();
}

}  // namespace troupe
