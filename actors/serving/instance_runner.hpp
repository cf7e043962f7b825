#pragma once

#include "actors/concurrency/stream.hpp"
#include "actors/execution/executor_pool.hpp"
#include "actors/serving/inference_call.hpp"
#include "actors/serving/served_model.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>

namespace troupe {

/// The working half of an instance: takes calls from its model's queue, one after another, and runs them on the
/// device's pool. It holds a slot only while there are calls; when the queue is empty it waits there, and is handed the
/// next call on the thread that brings it. A call that the instance calls immediate it then answers at once, in a slot
/// leased for that, and any other on a thread of the pool; without a free slot it puts the call back, so that a call is
/// in the queue, and can be withdrawn, until there is a slot for it. With other work waiting for a slot it goes to the
/// end of the pool's queue after each call. Once the pool is closed it answers every call with UNAVAILABLE. Made as a
/// shared_ptr.
class instance_runner final : public pool_job,
                              private pending<std::shared_ptr<inference_call>>,
                              public std::enable_shared_from_this<instance_runner> {
 public:
  instance_runner(std::unique_ptr<instance> worker, std::shared_ptr<served_model> model,
                  std::shared_ptr<executor_pool> pool);

  /// Begins to take calls.
  void start() { enqueue(); }

  /// Takes no more calls, cancels the one that runs with `reason`, and calls `on_stopped` once that has really ended.
  /// To be called once, after `start()`.
  void stop(error reason, std::function<void()> on_stopped);

  void run() noexcept override;

 private:
  void wake() noexcept override;
  void enqueue();
  bool accept(const std::shared_ptr<inference_call>& call);
  bool run_immediate(std::shared_ptr<inference_call> call);
  std::shared_ptr<inference_call> next();
  std::shared_ptr<inference_call> take();
  void execute(inference_call& call);
  void finish();

  const std::unique_ptr<instance> worker_;
  const std::shared_ptr<served_model> model_;
  const std::shared_ptr<executor_pool> pool_;
  receive_operation<std::shared_ptr<inference_call>> receive_;  // begun whenever there is nothing to do
  std::shared_ptr<inference_call> held_;  // taken and found not to be immediate: the first one for run()
  std::atomic<bool> stopping_ = false;
  std::mutex mutex_;
  std::shared_ptr<inference_call> current_;  // guarded by mutex_, as is the next
  std::function<void()> on_stopped_;
};

/// Runs a request on an instance and turns whatever it throws into an INTERNAL error.
expected<inference_response> run_contained(instance& worker, const inference_request& request,
                                           const cancel_token& token) noexcept;

}  // namespace troupe
