#include "actors/serving/batch_runner.hpp"

#include "actors/concurrency/log.hpp"
#include "actors/serving/stuck_watch.hpp"
#include "skillsets/sdk/run_one.hpp"

#include <algorithm>
#include <atomic>
#include <list>
#include <stop_token>

namespace troupe {
namespace {

/// How many batches a thread that brings a call runs for others too, before it is let go: as many as make up for
/// handing the rest over.
constexpr int most_for_others = 32;

/// Cancelled once every one of several calls is.
class shared_fate {
 public:
  explicit shared_fate(const std::vector<running_item>& items) : left_(items.size()) {
    for (const auto& item : items)
      watches_.emplace_back(item.token().stop(), one_less{*this, item.token()});
  }

  cancel_token token() const noexcept { return scope_.token(); }

 private:
  struct one_less {
    shared_fate& all;
    cancel_token token;

    void operator()() const {
      if (--all.left_ == 0)
        all.scope_.cancel(token.reason());
    }
  };

  std::atomic<std::size_t> left_;
  cancel_scope scope_;
  std::list<std::stop_callback<one_less>> watches_;
};

}  // namespace

batch_runner::batch_runner(std::unique_ptr<instance> worker, std::shared_ptr<served_model> model,
                           std::shared_ptr<executor_pool> pool, std::shared_ptr<executor_pool::share> share)
    : worker_(std::move(worker)),
      model_(std::move(model)),
      pool_(std::move(pool)),
      share_(std::move(share)),
      is_immediate_([this](const queued_work& work) {
        const auto& input = static_cast<const inference_call&>(work).input;
        // What belongs to a sequence may come on an actor's thread, which nothing runs on.
        return !input.sequence && worker_->immediate(input);
      }),
      ready_(model_->calls().ready()),
      measured_(model_->metrics()) {}

void batch_runner::stop(const error& reason, std::function<void()> on_stopped) {
  request_queue::batch running;
  {
    const std::lock_guard lock{mutex_};
    running = batch_;
  }
  leave(std::move(on_stopped));
  for (const auto& work : running)
    work->scope().cancel(reason);
}

void batch_runner::leave(std::function<void()> on_stopped) {
  bool parked = false;
  {
    const std::lock_guard lock{mutex_};
    on_stopped_ = std::move(on_stopped);
    stopping_ = true;
    parked = parked_;
  }
  // Whoever takes the runner out of the queue ends it: here when it waits, in wake() or run() otherwise.
  if (parked || ready_.abandon(*this, make_error(status_code::unavailable, "the instance is being stopped")))
    finish();
}

/// There may be a batch to take.
void batch_runner::wake() noexcept {
  // Once it waits again the runner belongs to the next waker, and may be gone before this one is done with it.
  const auto self = shared_from_this();
  const auto told = **std::exchange(result, std::nullopt);
  if (told == request_queue::told_by::other || !run_here())
    enqueue();
}

/// Runs what is immediate here and now; false when there may be more for a thread of the pool.
bool batch_runner::run_here() {
  const auto pool = pool_;
  const auto slot = pool->try_lease();
  if (!slot)
    return false;
  for (int left = most_for_others; left > 0; --left) {
    const auto what = take(true);
    if (what != next::batch)
      return what == next::nothing;
    execute();
    if (pool->contended())
      return false;
  }
  return false;
}

/// Goes to the end of the pool's queue. Without a pool that still takes work there is only one answer left to give.
void batch_runner::enqueue() {
  if (pool_->submit(shared_from_this(), share_))
    return;
  while (take(false) == next::batch) {
    for (const auto& work : batch_)
      work->refuse(
          make_error(status_code::unavailable, "device '" + pool_->name() + "' has been stopped", "try another node"));
    forget_batch();
  }
}

void batch_runner::run() noexcept {
  while (take(false) == next::batch) {
    execute();
    if (pool_->contended()) {
      enqueue();
      return;
    }
  }
}

/// Takes the next batch; when `immediate`, only one for the thread that brought it.
batch_runner::next batch_runner::take(bool immediate) {
  {
    // Under the lock that stop() takes, so that nothing is taken after a stop.
    const std::lock_guard lock{mutex_};
    while (!stopping_) {
      if (!worker_->usable()) {
        parked_ = true;
        break;
      }
      model_->calls().take(batch_, immediate ? is_immediate_ : nullptr);
      if (!batch_.empty())
        return next::batch;
      if (!ready_.begin(*this))
        return next::nothing;
      if (immediate)
        return next::elsewhere;
    }
  }
  model_->calls().pass_on();
  finish();
  return next::nothing;
}

void batch_runner::execute() {
  const auto began = steady_clock::now();
  std::int64_t items = 0, units = 0;
  for (const auto& work : batch_) {
    items_.emplace_back(std::static_pointer_cast<inference_call>(work), *model_);
    items += work->cost.items;
    units += work->cost.units();
  }
  log_event(spdlog::level::trace, "executing", {{"model", model_->name()}, {"requests", items_.size()}});
  if (items_.size() == 1) {
    const auto token = items_.front().token();
    const stuck_watch watch{*model_, token};
    run_items(0, 1, token);
  } else {
    const shared_fate all{items_};
    const stuck_watch watch{*model_, all.token()};
    run_items(0, items_.size(), all.token());
  }
  const auto took = steady_clock::now() - began;
  const auto pieces = items_.size();
  if (!worker_->usable())
    give_back();
  for (const auto& item : items_)
    if (item.ended())
      model_->counts().request_executed(began - item.call()->admitted_at(), took);
  model_->counts().batch_executed(items, took);
  model_->calls().ran(units, took, pieces);
  measured_.take(*worker_);
  give_back();
}

/// Runs some items together. Where that fails they run again in halves, and those in halves, down to the one whose
/// fault it is: a request must not fail for what its neighbours are.
void batch_runner::run_items(std::size_t first, std::size_t last, const cancel_token& token) {
  view_.clear();
  for (auto i = first; i != last; ++i)
    if (auto& item = items_[i]; !item.ended()) {
      item.begin();
      view_.push_back(&item);
    }
  if (view_.empty())
    return;
  auto done = run_contained(*worker_, view_, token);
  std::erase_if(view_, [](auto* item) { return static_cast<running_item*>(item)->ended(); });
  if (view_.empty())
    return;
  // What is left of it is not its own fault.
  if (!worker_->usable())
    return end_broken(done ? make_error(status_code::unavailable, "the instance broke") : done.error());
  if (!done && view_.size() > 1 && !token.cancelled()) {
    for (auto i = first; i != last; ++i)
      if (auto& item = items_[i]; item.has_begun_to_answer())
        item.respond(done.error());
    model_->counts().batch_retried();
    log_event(spdlog::level::warn, "batch failed, running it in halves",
              {{"model", model_->name()}, {"requests", view_.size()}, {"reason", done.error().message()}});
    const auto middle = first + (last - first) / 2;
    run_items(first, middle, token);
    run_items(middle, last, token);
    return;
  }
  const auto why = done ? make_error(status_code::internal, "the skillset gave no answer") : done.error();
  for (auto* item : view_)
    item->respond(item->token().cancelled() ? item->token().reason() : why);
}

/// Ends the batch. What has not ended by itself goes back into the queue.
void batch_runner::give_back() {
  std::vector<std::shared_ptr<inference_call>> back;
  for (const auto& item : items_)
    if (!item.ended())
      back.push_back(item.call());
  items_.clear();
  forget_batch();
  run_again(*model_, std::move(back));
}

void batch_runner::end_broken(const error& why) {
  for (auto* item : view_)
    static_cast<running_item*>(item)->broken(why);
}

void batch_runner::forget_batch() {
  request_queue::batch over;
  const std::lock_guard lock{mutex_};
  over.swap(batch_);
}

void batch_runner::finish() {
  std::function<void()> on_stopped;
  {
    const std::lock_guard lock{mutex_};
    on_stopped = std::exchange(on_stopped_, nullptr);
  }
  if (on_stopped)
    on_stopped();
}

}  // namespace troupe
