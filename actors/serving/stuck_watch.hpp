#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/concurrency/clock.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>

namespace troupe {

class served_model;

/// Notices an instance that goes on with work that was cancelled, which nobody can end in the node's own process: for
/// as long as it does, the model has one instance less, and says so. Lives as long as the work; while nothing is
/// cancelled it costs what a stop callback does.
class stuck_watch {
 public:
  /// Nothing is watched where the instance has a process of its own, which can be ended.
  stuck_watch(served_model& model, const cancel_token& token);

  /// The work has ended: if it was stuck, it isn't any more.
  ~stuck_watch();
  stuck_watch(const stuck_watch&) = delete;
  stuck_watch& operator=(const stuck_watch&) = delete;

 private:
  /// Due once the patience with cancelled work is over.
  class grace final : public timer {
   public:
    void fire() noexcept override;

    served_model* model = nullptr;
    steady_clock::time_point cancelled;
    bool stuck = false;
  };

  class on_cancel {
   public:
    explicit on_cancel(stuck_watch& watch) : watch_(watch) {}
    void operator()() const;

   private:
    stuck_watch& watch_;
  };

  troupe::clock& clock_;
  grace grace_;
  std::optional<std::stop_callback<on_cancel>> cancelled_;
};

}  // namespace troupe
