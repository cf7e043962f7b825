#include "actors/serving/instance_runner.hpp"

#include "actors/concurrency/log.hpp"

#include <exception>

namespace troupe {
namespace {

/// How many calls a thread that brings one runs for others too, before it is let go: as many as make up for handing the
/// rest over.
constexpr int most_for_others = 32;

}  // namespace

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
    : worker_(std::move(worker)),
      model_(std::move(model)),
      pool_(std::move(pool)),
      receive_(model_->calls().receive()) {}

void instance_runner::stop(error reason, std::function<void()> on_stopped) {
  std::shared_ptr<inference_call> running;
  {
    const std::lock_guard lock{mutex_};
    on_stopped_ = std::move(on_stopped);
    stopping_ = true;
    running = current_;
  }
  if (running)
    running->scope().cancel(reason);
  // Whoever takes the runner out of the queue ends it: here when it waits, in wake() or run() otherwise.
  if (receive_.abandon(*this, std::move(reason)))
    finish();
}

/// The queue has handed a call over.
void instance_runner::wake() noexcept {
  // Once it waits again the runner belongs to the next waker, and may be gone before this one is done with it.
  const auto self = shared_from_this();
  const auto pool = pool_;
  auto call = **std::exchange(result, std::nullopt);
  auto slot = pool->try_lease(troupe::owner{this});
  if (!slot) {
    receive_.undo(std::move(call));
    enqueue();
    return;
  }
  bool more = false;
  if (accept(call)) {
    more = run_immediate(std::move(call));
  } else {
    receive_.undo(std::move(call));
    finish();
  }
  slot.reset();
  if (more)
    enqueue();
}

/// Makes a call the one that stop() cancels; false once the runner was stopped.
bool instance_runner::accept(const std::shared_ptr<inference_call>& call) {
  const std::lock_guard lock{mutex_};
  if (!stopping_)
    current_ = call;
  return !stopping_;
}

/// Runs a call and some more here and now for as long as they are immediate; true when there may be more for a thread
/// of the pool.
bool instance_runner::run_immediate(std::shared_ptr<inference_call> call) {
  for (int left = most_for_others; call; call = take()) {
    if (!worker_->immediate(call->input)) {
      held_ = std::move(call);
      return true;
    }
    execute(*call);
    if (--left == 0 || pool_->contended())
      return true;
  }
  return false;
}

/// Goes to the end of the pool's queue. Without a pool that still takes work there is only one answer left to give.
void instance_runner::enqueue() {
  if (pool_->submit(shared_from_this()))
    return;
  while (const auto call = next())
    call->respond(
        make_error(status_code::unavailable, "device '" + pool_->name() + "' has been stopped", "try another node"));
}

void instance_runner::run() noexcept {
  while (const auto call = next()) {
    execute(*call);
    if (pool_->contended()) {
      enqueue();
      return;
    }
  }
}

std::shared_ptr<inference_call> instance_runner::next() {
  return held_ ? std::move(held_) : take();
}

/// The next call of the queue; null when there is none and the runner waits, or it has stopped. Whoever gets null owns
/// the runner no more.
std::shared_ptr<inference_call> instance_runner::take() {
  {
    // Under the lock that stop() takes, so that nothing is taken after a stop.
    const std::lock_guard lock{mutex_};
    current_.reset();
    if (!stopping_) {
      if (auto call = receive_.begin(*this))
        current_ = **std::move(call);
      return current_;
    }
  }
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
    log_event(spdlog::level::trace, "executing", {{"model", model_->name()}});
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
