#include "actors/supervision/supervisor.hpp"

#include "actors/supervision/supervision.hpp"

#include <caf/actor_system.hpp>
#include <caf/stateful_actor.hpp>

namespace troupe {
namespace {

struct supervisor_state {
  static constexpr const char* name = "supervisor";

  std::unique_ptr<supervision> rules;
};

caf::behavior supervisor(caf::stateful_actor<supervisor_state>* self, supervisor_flags flags,
                         std::vector<child_spec> children) {
  self->state.rules = std::make_unique<supervision>(self, std::move(flags), std::move(children));
  auto* rules = self->state.rules.get();
  self->set_down_handler([rules](const caf::down_msg& down) { rules->on_down(down.source, down.reason); });
  self->set_exit_handler([rules](const caf::exit_msg& exit) { rules->on_stop(exit.source, exit.reason); });
  return {
      [self, rules](start_atom) -> caf::result<void> {
        auto promise = self->make_response_promise();
        rules->on_start(promise);
        return promise;
      },
      [self, rules](admin_atom, const admin_message& call) -> caf::result<admin_reply> {
        auto promise = self->make_response_promise();
        rules->on_call(call.content, promise);
        return promise;
      },
      [rules](const supervision_note& note) { rules->on_note(note); },
  };
}

}  // namespace

caf::actor spawn_supervisor(caf::actor_system& system, supervisor_flags flags, std::vector<child_spec> children) {
  return system.spawn(supervisor, std::move(flags), std::move(children));
}

}  // namespace troupe
