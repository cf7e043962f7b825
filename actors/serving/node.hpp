#pragma once

#include "actors/concurrency/error.hpp"
#include "actors/execution/device_probe.hpp"
#include "actors/serving/model_actor.hpp"
#include "actors/serving/model_folder.hpp"
#include "actors/serving/model_repository.hpp"
#include "actors/supervision/supervisor.hpp"

#include <memory>
#include <vector>

namespace troupe {

/// What a node consists of.
struct node_parts {
  std::vector<device> devices;
  std::vector<model_folder> models;
  std::vector<child_spec> gateways;
  model_context context;
  repository_settings repository = {};
  std::shared_ptr<model_repository> loader = nullptr;  ///< of further models, while the node runs; null: nobody
};

/// Spawns the root of the tree: a supervisor (rest_for_one) over devices, models and gateways, each with a supervisor
/// of its own, started in this order and stopped in reverse. It is asked and stopped as every supervisor is.
caf::actor spawn_node(caf::actor_system& system, node_parts parts);

}  // namespace troupe
