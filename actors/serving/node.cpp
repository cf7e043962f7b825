#include "actors/serving/node.hpp"

#include "actors/execution/device_actor.hpp"

namespace troupe {
namespace {

constexpr auto for_ever = std::chrono::milliseconds::max();

child_spec branch(std::string name, restart_strategy strategy, std::vector<child_spec> children) {
  return {name,
          [name, strategy, children](caf::actor_system& system) {
            supervisor_flags flags;
            flags.name = name;
            flags.strategy = strategy;
            return spawn_supervisor(system, std::move(flags), children);
          },
          restart_type::permanent, for_ever, child_type::supervisor};
}

}  // namespace

caf::actor spawn_node(caf::actor_system& system, node_parts parts) {
  std::vector<child_spec> devices;
  for (const auto& what : parts.devices)
    devices.push_back(
        {what.name,
         [what, table = parts.context.devices](caf::actor_system& sys) { return spawn_device(sys, what, table); },
         restart_type::permanent, for_ever});
  std::vector<child_spec> models;
  for (const auto& folder : parts.models)
    models.push_back(
        {folder.name,
         [folder, context = parts.context](caf::actor_system& sys) { return spawn_model(sys, folder, context); },
         restart_type::permanent, for_ever});
  supervisor_flags flags;
  flags.name = "node";
  flags.strategy = restart_strategy::rest_for_one;
  return spawn_supervisor(system, std::move(flags),
                          {branch("devices", restart_strategy::one_for_one, std::move(devices)),
                           branch("models", restart_strategy::one_for_one, std::move(models)),
                           branch("gateways", restart_strategy::one_for_one, std::move(parts.gateways))});
}

}  // namespace troupe
