#pragma once

#include "actors/concurrency/pending.hpp"
#include "actors/serving/instance_runner.hpp"
#include "actors/serving/running_item.hpp"
#include "skillsets/sdk/continuous_work.hpp"

#include <list>
#include <memory>
#include <mutex>
#include <vector>

namespace troupe {

/// The runner of an instance that works step by step: lets calls in whenever there is room, steps until none is left,
/// and waits in the queue then. With room it waits there while it steps, too, so that a step can be told that somebody
/// has come. With other work waiting for a thread it goes to the end of the pool's queue between two steps, and keeps
/// its requests.
///
/// A step that fails evicts all. Those that had no response are let in again, each alone: whoever makes it fail then is
/// the one whose fault it is. So are those that come from an instance that broke.
class continuous_runner final : public instance_runner,
                                private pending<request_queue::told_by>,
                                public std::enable_shared_from_this<continuous_runner> {
 public:
  continuous_runner(std::unique_ptr<instance> worker, std::shared_ptr<served_model> model,
                    std::shared_ptr<executor_pool> pool, std::shared_ptr<executor_pool::share> share = {});
  ~continuous_runner() override;

  void start() override { enqueue(); }
  void stop(const error& reason, std::function<void()> on_stopped) override;
  void leave(std::function<void()> on_stopped) override;
  void run() noexcept override;

 private:
  /// A request that was taken, and is in or about to be.
  struct guest {
    running_item item;
    steady_clock::time_point began;
    steady_clock::duration share{};  ///< of the time of its steps
    bool in = false;
    bool suspect = false;  ///< in a step that failed or broke its instance, and to be let in alone
  };

  void wake() noexcept override;
  void enqueue();
  bool take();
  bool has_room() const noexcept;
  bool withdraw();
  void let_out();
  void take_in(const request_queue::batch& calls);
  void let_in();
  void step();
  expected<void> step_watched();
  void settle(const error& why, bool alone);
  void end_all(const error& why);
  void forget_ended();
  void finish();

  const std::unique_ptr<instance> worker_;
  continuous_instance& engine_;  // the same
  const std::shared_ptr<served_model> model_;
  const std::shared_ptr<executor_pool> pool_;
  const std::shared_ptr<executor_pool::share> share_;
  request_queue::ready_operation ready_;
  std::list<guest> guests_;  // in the order of their coming
  continuous_work in_;       // those of them who are in

  std::mutex mutex_;
  std::vector<std::shared_ptr<queued_work>> calls_;  // of guests_; guarded by mutex_, as are the next
  bool stopping_ = false;
  bool waiting_ = false;  // in the queue, for a call
  bool told_ = false;     // of a call, and has not looked yet
  bool idle_ = false;     // no thread has it; whoever wakes or stops it does
  std::function<void()> on_stopped_;
};

}  // namespace troupe
