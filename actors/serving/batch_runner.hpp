#pragma once

#include "actors/execution/executor_pool.hpp"
#include "actors/execution/request_queue.hpp"
#include "actors/serving/instance_runner.hpp"
#include "actors/serving/running_item.hpp"

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace troupe {

/// The runner of an instance that works on batches: takes one after another. With an empty queue it waits there, and is
/// told of the next call on the thread that brings it. A call that the instance calls immediate is then answered at
/// once, in a place leased for that, and any other by a thread of the pool; what waits for one is in the queue, where
/// it can be withdrawn. With other work waiting for a thread the runner goes to the end of the pool's queue after each
/// batch.
class batch_runner final : public instance_runner,
                           private pending<request_queue::told_by>,
                           public std::enable_shared_from_this<batch_runner> {
 public:
  batch_runner(std::unique_ptr<instance> worker, std::shared_ptr<served_model> model,
               std::shared_ptr<executor_pool> pool, std::shared_ptr<executor_pool::share> share = {});

  void start() override { enqueue(); }
  void stop(const error& reason, std::function<void()> on_stopped) override;
  void leave(std::function<void()> on_stopped) override;
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
  instance_metrics::part measured_;
  std::vector<running_item> items_;  // of the batch that runs
  std::vector<work_item*> view_;     // of what of it runs together
  std::mutex mutex_;
  request_queue::batch batch_;  // guarded by mutex_, as are the next
  bool stopping_ = false;
  bool parked_ = false;  // takes nothing more, and waits to be told to stop
  std::function<void()> on_stopped_;
};

}  // namespace troupe
