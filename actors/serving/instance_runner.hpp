#pragma once

#include "actors/execution/executor_pool.hpp"
#include "actors/execution/request_queue.hpp"
#include "actors/serving/inference_call.hpp"
#include "actors/serving/served_model.hpp"

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace troupe {

/// A request of a batch as the instance sees it: passes its answers on, and counts how it ended.
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

 private:
  void end(bool success);

  std::shared_ptr<inference_call> call_;
  served_model* model_;
  bool sent_ = false;
  bool ended_ = false;
};

/// The working half of an instance: takes batches from its model's queue, one after another, and runs them on the
/// device's pool. Once its instance can't work any more it takes nothing, and what it could not do goes back into the
/// queue, once for each request. It holds threads only while there is something to do; with an empty queue it waits
/// there, and is told of the next call on the thread that brings it. A call that the instance calls immediate is then
/// answered at once, in a place leased for that, and any other by a thread of the pool; what waits for one is in the
/// queue, where it can be withdrawn. With other work waiting for a thread the runner goes to the end of the pool's
/// queue after each batch. Once the pool is closed it answers every call with UNAVAILABLE. Made as a shared_ptr.
class instance_runner final : public pool_job,
                              private pending<request_queue::told_by>,
                              public std::enable_shared_from_this<instance_runner> {
 public:
  instance_runner(std::unique_ptr<instance> worker, std::shared_ptr<served_model> model,
                  std::shared_ptr<executor_pool> pool, std::shared_ptr<executor_pool::share> share = {});

  /// Begins to take calls.
  void start() { enqueue(); }

  /// Takes no more calls, cancels those that run with `reason`, and calls `on_stopped` once that has really ended. To
  /// be called once, after `start()`.
  void stop(const error& reason, std::function<void()> on_stopped);

  /// The same once the instance can't work any more: what runs is not cancelled, because it ends by itself, and may run
  /// again elsewhere.
  void leave(std::function<void()> on_stopped);

  void run() noexcept override;

 private:
  /// What there is to do next.
  enum class next : std::uint8_t {
    batch,      ///< it is taken
    elsewhere,  ///< something that is not for this thread
    nothing,    ///< the runner waits, or has stopped: the caller owns it no more
  };

  void wake() noexcept override;
  bool run_here();
  void enqueue();
  next take(bool immediate);
  void execute();
  void run_items(std::size_t first, std::size_t last, const cancel_token& token);
  void end_broken(const error& why);
  void give_back();
  void forget_batch();
  void finish();

  const std::unique_ptr<instance> worker_;
  const std::shared_ptr<served_model> model_;
  const std::shared_ptr<executor_pool> pool_;
  const std::shared_ptr<executor_pool::share> share_;
  const std::function<bool(const queued_work&)> is_immediate_;
  request_queue::ready_operation ready_;  // begun whenever there is nothing to do
  std::vector<running_item> items_;       // of the batch that runs
  std::vector<work_item*> view_;          // of what of it runs together
  std::mutex mutex_;
  request_queue::batch batch_;  // guarded by mutex_, as are the next
  bool stopping_ = false;
  bool parked_ = false;  // takes nothing more, and waits to be told to stop
  std::function<void()> on_stopped_;
};

}  // namespace troupe
