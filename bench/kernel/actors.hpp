#pragma once

#include "bench/kernel/cases.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>

namespace troupe::bench {

/// Actors on as many threads as every other executor here.
class actor_world {
 public:
  /// Waits until no actor is left.
  void join() { system.await_all_actors_done(); }

 private:
  struct config : caf::actor_system_config {
    config() { set("scheduler.max-threads", std::size_t{executor_threads}); }
  };

  config config_;

 public:
  caf::actor_system system{config_};
};

}  // namespace troupe::bench
