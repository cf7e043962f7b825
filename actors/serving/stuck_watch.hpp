#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/concurrency/clock.hpp"

#include <atomic>
#include <list>
#include <optional>
#include <stop_token>

namespace troupe {

class served_model;

/// Notices an instance that goes on with work that was cancelled, which nobody can end in the node's own process: for
/// as long as it does, the model has one instance less, and says so. Lives as long as the work; while nothing is
/// cancelled it costs what a stop callback does. For one thread.
class stuck_watch {
 public:
  explicit stuck_watch(served_model& model);
  stuck_watch(served_model& model, const cancel_token& token) : stuck_watch(model) { add(token); }

  /// The work has ended: if it was stuck, it isn't any more.
  ~stuck_watch();
  stuck_watch(const stuck_watch&) = delete;
  stuck_watch& operator=(const stuck_watch&) = delete;

  /// It is to end soon once this is cancelled. Nothing is watched where the instance has a process of its own, which
  /// can be ended.
  void add(const cancel_token& token);

 private:
  /// Due once the patience with cancelled work is over.
  class grace final : public timer {
   public:
    void fire() noexcept override;

    served_model* model = nullptr;
    steady_clock::time_point cancelled;
    bool stuck = false;
  };

  struct on_cancel {
    stuck_watch& watch;
    void operator()() const;
  };

  troupe::clock* clock_ = nullptr;  // null: nothing is watched
  std::atomic<bool> cancelled_ = false;
  grace grace_;
  std::optional<std::stop_callback<on_cancel>> first_;  // mostly the only one
  std::list<std::stop_callback<on_cancel>> others_;
};

}  // namespace troupe
