#include "actors/serving/node.hpp"

#include "actors/execution/device_actor.hpp"

namespace troupe {
namespace {

constexpr auto for_ever = std::chrono::milliseconds::max();

child_spec branch(std::string name, report_sink on_report, std::vector<child_spec> children) {
  return {name,
          [name, on_report, children](caf::actor_system& system) {
            return spawn_supervisor(system, {.name = name, .on_report = on_report}, children);
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
  flags.on_report = parts.context.on_report;
  return spawn_supervisor(system, std::move(flags),
                          {branch("devices", parts.context.on_report, std::move(devices)), std::move(models),
                           branch("gateways", parts.context.on_report, std::move(parts.gateways))});
}

}  // namespace troupe
