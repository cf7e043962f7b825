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
  child_spec models{"models",
                    [parts](caf::actor_system& sys) {
                      return spawn_model_repository(sys, parts.models, parts.context, parts.repository, parts.loader);
                    },
                    restart_type::permanent, for_ever, child_type::supervisor};
  supervisor_flags flags;
  flags.name = "node";
  flags.strategy = restart_strategy::rest_for_one;
  return spawn_supervisor(system, std::move(flags),
                          {branch("devices", restart_strategy::one_for_one, std::move(devices)), std::move(models),
                           branch("gateways", restart_strategy::one_for_one, std::move(parts.gateways))});
}

}  // namespace troupe
