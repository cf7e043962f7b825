#include "actors/serving/continuous_runner.hpp"

#include "actors/concurrency/log.hpp"
#include "actors/serving/stuck_watch.hpp"

#include <algorithm>
#include <utility>

namespace troupe {

continuous_runner::continuous_runner(std::unique_ptr<instance> worker, std::shared_ptr<served_model> model,
                                     std::shared_ptr<executor_pool> pool, std::shared_ptr<executor_pool::share> share)
    : worker_(std::move(worker)),
      engine_(*worker_->continuous()),
      model_(std::move(model)),
      pool_(std::move(pool)),
      share_(std::move(share)),
      ready_(model_->calls().ready()),
      in_(engine_) {
  model_->calls().add_places(static_cast<std::int64_t>(engine_.capacity()));
}

continuous_runner::~continuous_runner() {
  model_->calls().add_places(-static_cast<std::int64_t>(engine_.capacity()));
}

// -- from any thread --------------------------------------------------------------------------------------------------

void continuous_runner::stop(const error& reason, std::function<void()> on_stopped) {
  request_queue::batch running;
  {
    const std::lock_guard lock{mutex_};
    running = calls_;
  }
  leave(std::move(on_stopped));
  for (const auto& call : running)
    call->scope().cancel(reason);
}

void continuous_runner::leave(std::function<void()> on_stopped) {
  bool mine = false;
  {
    const std::lock_guard lock{mutex_};
    on_stopped_ = std::move(on_stopped);
    stopping_ = true;
    // Otherwise whoever has it, or is about to wake it, ends it.
    mine = idle_ && withdraw();
  }
  mine ? finish() : engine_.interrupt();
}

/// There may be a call to take.
void continuous_runner::wake() noexcept {
  // Once it waits again the runner belongs to the next waker, and may be gone before this one is done with it.
  const auto self = shared_from_this();
  bool mine = false;
  {
    const std::lock_guard lock{mutex_};
    result.reset();
    waiting_ = false;
    told_ = true;
    mine = std::exchange(idle_, false);
  }
  mine ? enqueue() : engine_.interrupt();
}

/// No longer waits for a call, under the lock; false when somebody is about to wake it.
bool continuous_runner::withdraw() {
  if (waiting_ && !ready_.abandon(*this, make_error(status_code::unavailable, "the instance is being stopped")))
    return false;
  result.reset();
  waiting_ = false;
  return true;
}

// -- on the thread that has it ----------------------------------------------------------------------------------------

/// Goes to the end of the pool's queue. Without a pool that still takes work there is only one answer left to give.
void continuous_runner::enqueue() {
  if (pool_->submit(shared_from_this(), share_))
    return;
  do
    end_all(
        make_error(status_code::unavailable, "device '" + pool_->name() + "' has been stopped", "try another node"));
  while (take());
}

void continuous_runner::run() noexcept {
  for (let_out(); take(); let_out()) {
    step();
    if (pool_->contended())
      return enqueue();
  }
}

/// Who was cancelled makes room for who is taken next, so that there is no step between them.
void continuous_runner::let_out() {
  const auto were_in = in_.size();
  in_.evict_cancelled();
  if (in_.size() != were_in)
    forget_ended();
}

/// Takes as many calls as there is room for. False when there is none, and nobody is in: the runner waits or has
/// stopped, and the caller has it no more.
bool continuous_runner::take() {
  const auto model = model_;
  request_queue::batch calls;
  std::unique_lock lock{mutex_};
  while (!stopping_ && worker_->usable() && has_room()) {
    told_ = false;
    model_->calls().take(calls);
    if (!calls.empty())
      take_in(calls);
    else if (waiting_ || !ready_.begin(*this)) {
      waiting_ = true;
      break;
    }
  }
  const bool not_for_us = std::exchange(told_, false);
  const bool busy = !guests_.empty();
  // One that can't work any more waits to be told to stop.
  const bool over = !busy && stopping_ && withdraw();
  idle_ = !busy && !over;
  lock.unlock();
  if (over)
    finish();
  // Unless it is busy it may be gone by now.
  if (not_for_us)
    model->calls().pass_on();
  return busy;
}

/// Whether one more could be let in at once.
bool continuous_runner::has_room() const noexcept {
  return guests_.size() < engine_.capacity() &&
         std::none_of(guests_.begin(), guests_.end(), [](const guest& each) { return each.suspect; });
}

/// Under the lock that `stop` takes, so that none is taken after it.
void continuous_runner::take_in(const request_queue::batch& calls) {
  for (const auto& call : calls) {
    calls_.push_back(call);
    auto& one =
        guests_.emplace_back(guest{{std::static_pointer_cast<inference_call>(call), *model_}, steady_clock::now()});
    one.suspect = one.item.call()->ran_before;
    one.item.call()->in_company = true;
  }
}

/// Lets in those who are not, as far as there is room; a suspect alone.
void continuous_runner::let_in() {
  if (std::any_of(guests_.begin(), guests_.end(), [](const guest& each) { return each.in && each.suspect; }))
    return;
  for (auto& each : guests_) {
    if (each.in || each.item.ended())
      continue;
    if (const auto token = each.item.token(); token.cancelled()) {
      each.item.respond(token.reason());
      continue;
    }
    if (each.suspect ? !in_.empty() : !in_.has_room())
      continue;
    log_event(spdlog::level::trace, "executing", {{"model", model_->name()}, {"requests", 1}});
    each.item.begin();
    each.in = true;
    in_.admit(each.item);
    if (each.suspect)
      return;
  }
}

void continuous_runner::step() {
  if (worker_->usable())
    let_in();
  const auto began = steady_clock::now();
  const auto size = in_.size();
  const auto done = step_watched();
  const auto took = steady_clock::now() - began;
  std::int64_t finished = 0;
  for (auto& each : guests_) {
    if (each.in && size > 0)
      each.share += took / size;
    if (each.item.ended())
      finished += each.item.call()->cost.items;
  }
  if (size > 0)
    model_->counts().step_executed(static_cast<std::int64_t>(size), finished, took);
  if (!worker_->usable())
    end_all(done ? make_error(status_code::unavailable, "the instance broke") : done.error());
  else if (!done)
    settle(done.error(), size == 1);
  forget_ended();
}

expected<void> continuous_runner::step_watched() {
  stuck_watch watch{*model_};
  for (const auto& each : guests_)
    if (each.in)
      watch.add(each.item.token());
  return in_.step();
}

/// A step failed, and nobody is in any more. One who was alone has his answer; of the others, those who have had no
/// response try again.
void continuous_runner::settle(const error& why, bool alone) {
  std::size_t again = 0;
  for (auto& each : guests_) {
    if (!std::exchange(each.in, false) || each.item.ended())
      continue;
    each.suspect = true;
    if (const auto token = each.item.token(); token.cancelled())
      each.item.respond(token.reason());
    else if (alone || each.item.has_begun_to_answer())
      each.item.respond(why);
    else
      ++again;
  }
  if (again == 0)
    return;
  model_->counts().batch_retried();
  log_event(spdlog::level::warn, "step failed, its requests run alone",
            {{"model", model_->name()}, {"requests", again}, {"reason", why.message()}});
}

/// Nobody can be worked on any more. With an instance that broke some may go to another one, and who was not in does.
void continuous_runner::end_all(const error& why) {
  in_.evict_all();
  std::vector<std::shared_ptr<inference_call>> back;
  for (auto& each : guests_) {
    if (worker_->usable())
      each.item.respond(why);
    else if (each.in && !each.item.ended())
      each.item.broken(why);
    if (!each.item.ended()) {
      model_->calls().ran(each.item.call()->cost.units(), each.share);
      back.push_back(each.item.call());
    }
  }
  std::erase_if(guests_, [](const guest& each) { return !each.item.ended(); });
  forget_ended();
  run_again(*model_, std::move(back));
}

void continuous_runner::forget_ended() {
  const auto now = steady_clock::now();
  std::erase_if(guests_, [&](const guest& each) {
    if (!each.item.ended())
      return false;
    const auto& call = each.item.call();
    model_->counts().request_executed(each.began - call->admitted_at(), now - each.began);
    model_->calls().ran(call->cost.units(), each.share);
    return true;
  });
  const auto left = [&](const auto& call) {
    return std::any_of(guests_.begin(), guests_.end(), [&](const guest& each) { return each.item.call() == call; });
  };
  request_queue::batch over;  // lets go of its calls without the lock
  const std::lock_guard lock{mutex_};
  const auto first = std::partition(calls_.begin(), calls_.end(), left);
  over.assign(std::make_move_iterator(first), std::make_move_iterator(calls_.end()));
  calls_.erase(first, calls_.end());
}

void continuous_runner::finish() {
  std::function<void()> on_stopped;
  {
    const std::lock_guard lock{mutex_};
    on_stopped = std::exchange(on_stopped_, nullptr);
  }
  if (on_stopped)
    on_stopped();
}

}  // namespace troupe
