#pragma once

#include "actors/execution/executor_pool.hpp"

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include <memory>

namespace troupe {

class loaded_model;
class served_model;

/// Where an instance works, and as whose share of it.
struct instance_place {
  std::shared_ptr<executor_pool> pool;
  std::shared_ptr<executor_pool::share> share;
};

/// Spawns one instance of a model. It makes the instance and has it answer the model's warm-up request on the pool;
/// then it counts as started, and takes calls from the model's queue until it is stopped. It ends only after the calls
/// that it runs have ended.
caf::actor spawn_instance(caf::actor_system& system, std::shared_ptr<loaded_model> loaded,
                          std::shared_ptr<served_model> model, instance_place where);

}  // namespace troupe
