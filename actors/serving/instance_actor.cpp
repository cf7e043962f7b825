#include "actors/serving/instance_actor.hpp"

#include "actors/serving/instance_runner.hpp"
#include "actors/supervision/supervisor.hpp"
#include "skillsets/sdk/run_one.hpp"

#include <caf/actor_cast.hpp>
#include <caf/actor_system.hpp>
#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/response_promise.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include <optional>

namespace troupe {

/// What a pool thread hands back to the actor: a warmed-up instance, or why there is none.
struct warm_instance {
  std::shared_ptr<std::unique_ptr<instance>> worker;
  std::optional<error> failure;
};

}  // namespace troupe

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::warm_instance)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::error)

namespace troupe {
namespace {

using stopped_atom = caf::atom_constant<caf::atom("stopped")>;

struct instance_state {
  static constexpr const char* name = "instance";

  cancel_scope scope;  // of the warm-up
  std::shared_ptr<instance_runner> runner;
  std::optional<caf::response_promise> starter;
  bool warming = false;
  std::optional<caf::error> exit_reason;
};

warm_instance make_warm(loaded_model& loaded, const cancel_token& token) noexcept {
  try {
    auto worker = loaded.make_instance();
    if (!worker)
      return {nullptr, worker.error()};
    const auto answer = run_one(**worker, loaded.warm_up(), token);
    if (!answer)
      return {nullptr,
              make_error(answer.error().code, "the warm-up failed: " + answer.error().cause, answer.error().remedy)};
    return {std::make_shared<std::unique_ptr<instance>>(*std::move(worker)), std::nullopt};
  } catch (const std::exception& e) {
    return {nullptr, make_error(status_code::internal, std::string{"making an instance failed: "} + e.what())};
  } catch (...) {
    return {nullptr, make_error(status_code::internal, "making an instance threw something that is no exception")};
  }
}

caf::behavior instance_actor(caf::stateful_actor<instance_state>* self, std::shared_ptr<loaded_model> loaded,
                             std::shared_ptr<served_model> model, instance_place where) {
  const auto stopping = make_error(status_code::unavailable, "the instance is being stopped", "try again");
  self->set_exit_handler([self, stopping](const caf::exit_msg& exit) {
    auto& state = self->state;
    if (state.exit_reason)
      return;
    state.exit_reason = exit.reason;
    state.scope.cancel(stopping);
    if (state.runner)
      state.runner->stop(stopping,
                         [me = caf::actor_cast<caf::actor>(self)] { caf::anon_send(me, stopped_atom::value); });
    else if (!state.warming)
      self->quit(exit.reason);
  });
  return {
      [self, loaded, where](start_atom) -> caf::result<void> {
        auto& state = self->state;
        state.starter = self->make_response_promise();
        auto promise = *state.starter;
        state.warming =
            where.pool->submit(make_job([loaded, me = caf::actor_cast<caf::actor>(self), token = state.scope.token()] {
                                 caf::anon_send(me, make_warm(*loaded, token));
                               }),
                               where.share);
        if (!state.warming)
          state.starter->deliver(to_caf(make_error(status_code::unavailable, "the device has been stopped")));
        return promise;
      },
      [self, model, where](const warm_instance& warm) {
        auto& state = self->state;
        state.warming = false;
        auto starter = *std::exchange(state.starter, std::nullopt);
        if (state.exit_reason) {
          starter.deliver(*state.exit_reason);
          self->quit(*state.exit_reason);
        } else if (warm.failure) {
          starter.deliver(to_caf(*warm.failure));
          self->quit(to_caf(*warm.failure));
        } else {
          (*warm.worker)->watch([me = caf::actor_cast<caf::actor_addr>(self)](const error& broken) {
            if (const auto instance = caf::actor_cast<caf::actor>(me))
              caf::anon_send(instance, broken);
          });
          state.runner = instance_runner::make(std::move(*warm.worker), model, where.pool, where.share);
          state.runner->start();
          starter.deliver(caf::unit);
        }
      },
      [self](const error& broken) {
        auto& state = self->state;
        if (state.exit_reason || !state.runner)
          return;
        state.exit_reason = to_caf(broken);
        state.runner->leave([me = caf::actor_cast<caf::actor>(self)] { caf::anon_send(me, stopped_atom::value); });
      },
      [self](stopped_atom) {
        self->state.runner.reset();
        self->quit(*self->state.exit_reason);
      },
  };
}

}  // namespace

caf::actor spawn_instance(caf::actor_system& system, std::shared_ptr<loaded_model> loaded,
                          std::shared_ptr<served_model> model, instance_place where) {
  return system.spawn(instance_actor, std::move(loaded), std::move(model), std::move(where));
}

}  // namespace troupe
