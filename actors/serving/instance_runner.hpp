#pragma once

#include "actors/execution/executor_pool.hpp"
#include "actors/execution/request_queue.hpp"
#include "actors/serving/served_model.hpp"

#include <functional>
#include <memory>

namespace troupe {

/// The working half of an instance: takes calls from its model's queue and has the instance work on them, on the
/// device's pool. It holds threads only while there is something to do. Once its instance can't work any more it takes
/// nothing, and what it could not do goes back into the queue, once for each request. Once the pool is closed it
/// answers every call with UNAVAILABLE. Owned by shared_ptr.
class instance_runner : public pool_job {
 public:
  /// The runner for the instance's style: batches, or step by step.
  static std::shared_ptr<instance_runner> make(std::unique_ptr<instance> worker, std::shared_ptr<served_model> model,
                                               std::shared_ptr<executor_pool> pool,
                                               std::shared_ptr<executor_pool::share> share = {});

  /// Begins to take calls.
  virtual void start() = 0;

  /// Takes no more calls, cancels those that run with `reason`, and calls `on_stopped` once that has really ended. To
  /// be called once, after `start()`.
  virtual void stop(const error& reason, std::function<void()> on_stopped) = 0;

  /// The same once the instance can't work any more: what runs is not cancelled, because it ends by itself, and may run
  /// again elsewhere.
  virtual void leave(std::function<void()> on_stopped) = 0;
};

}  // namespace troupe
