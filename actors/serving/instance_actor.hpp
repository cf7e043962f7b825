#pragma once

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include <memory>

namespace troupe {

class executor_pool;
class loaded_model;
class served_model;

/// Spawns one instance of a model. It makes the instance and has it answer the model's warm-up request on the pool;
/// then it counts as started, and takes calls from the model's queue until it is stopped. It ends only after the call
/// that it runs has ended.
caf::actor spawn_instance(caf::actor_system& system, std::shared_ptr<loaded_model> loaded,
                          std::shared_ptr<served_model> model, std::shared_ptr<executor_pool> pool);

}  // namespace troupe
