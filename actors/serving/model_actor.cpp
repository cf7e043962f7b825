#include "actors/serving/model_actor.hpp"

#include "actors/concurrency/await.hpp"
#include "actors/concurrency/log.hpp"
#include "actors/execution/device_actor.hpp"
#include "actors/execution/executor_pool.hpp"
#include "actors/serving/instance_actor.hpp"
#include "actors/serving/load_trial.hpp"
#include "actors/serving/router.hpp"
#include "actors/serving/sequence_actor.hpp"
#include "actors/serving/served_model.hpp"
#include "actors/serving/skillset_catalog.hpp"
#include "actors/supervision/supervisor.hpp"
#include "skillsets/sdk/validate.hpp"

#include <caf/actor_cast.hpp>
#include <caf/actor_system.hpp>
#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/response_promise.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include <algorithm>
#include <optional>

namespace troupe {

/// What a pool thread hands back to the actor: the model in memory, or why it isn't.
struct load_result {
  std::shared_ptr<loaded_model> loaded;
  std::optional<error> failure;
};

}  // namespace troupe

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::load_result)

namespace troupe {
namespace {

struct model_actor_state {
  static constexpr const char* name = "model";

  std::shared_ptr<served_model> model;
  model_context context;
  load_cause cause = load_cause::start;
  bool takes_over = false;                     // from a model of this name that serves meanwhile
  std::optional<caf::error> outcome;           // of loading; null: READY
  std::vector<caf::response_promise> waiting;  // for that
  cancel_scope scope;                          // of loading
  steady_clock::time_point began;
  std::shared_ptr<executor_pool> pool;  // of the device that it runs on
  std::optional<executor_pool::memory_lease> memory;
  std::shared_ptr<loaded_model> loaded;
  caf::actor instances;  // their supervisor
  bool loading = false;
  std::optional<caf::error> exit_reason;
};

using model_self = caf::stateful_actor<model_actor_state>;

/// OK when the model's skillset computes on the model's device. That the machine has it, and that somebody else does,
/// is not enough: a skillset without devices would work on the processor in silence.
expected<void> check_device(const model_folder& folder) {
  if (folder.device == "CPU")
    return {};
  const auto devices = devices_of(*folder.skills);
  if (!devices)
    return devices.error();
  if (std::any_of(devices->begin(), devices->end(), [&](const auto& found) { return found.name == folder.device; }))
    return {};
  return make_error(status_code::unavailable,
                    "skillset '" + std::string{folder.skills->name()} + "' finds no device '" + folder.device + "'",
                    "'troupe devices' tells which runtime finds what");
}

load_result load(const model_folder& folder, load_trial* trial, const cancel_token& token) noexcept {
  try {
    if (const auto there = check_device(folder); !there)
      return {nullptr, there.error()};
    if (const auto verified = verify_files(folder, token); !verified)
      return {nullptr, verified.error()};
    if (const auto passed = trial ? trial->pass(folder, token) : expected<void>{}; !passed)
      return {nullptr, passed.error()};
    auto loaded = folder.skills->load(settings_of(folder), token);
    if (!loaded)
      return {nullptr, loaded.error()};
    if (const auto valid = validate_metrics((*loaded)->metrics()); !valid)
      return {nullptr, valid.error()};
    return {std::shared_ptr<loaded_model>{*std::move(loaded)}, std::nullopt};
  } catch (const std::exception& e) {
    return {nullptr, make_error(status_code::internal, std::string{"loading failed: "} + e.what())};
  } catch (...) {
    return {nullptr, make_error(status_code::internal, "loading threw something that is no exception")};
  }
}

void tell(caf::response_promise& who, const caf::error& outcome) {
  outcome ? who.deliver(outcome) : who.deliver(caf::unit);
}

/// It is known whether the model could be loaded.
void settle(model_actor_state& state, const caf::error& outcome) {
  if (state.outcome)
    return;
  state.outcome = outcome;
  for (auto& who : std::exchange(state.waiting, {}))
    tell(who, outcome);
}

void fail(model_self* self, const error& why) {
  auto& state = self->state;
  const bool somebody_is_told = state.cause == load_cause::request && !state.outcome;
  const auto& folder = state.model->folder();
  log_event(spdlog::level::err, "model unavailable",
            {{"model", folder.name}, {"code", to_string(why.code)}, {"reason", why.message()}});
  state.model->set_unavailable(why);
  state.memory.reset();
  settle(state, to_caf(why));
  if (folder.on_failure == failure_policy::fatal && !somebody_is_told)
    state.context.on_fatal(make_error(why.code, "model '" + folder.name + "': " + why.cause, why.remedy));
}

/// The pool of the model's device, or of the first of its alternatives that is there.
std::shared_ptr<executor_pool> choose_pool(const device_table& devices, const model_folder& folder) {
  auto pool = devices.find(folder.device);
  for (auto other = folder.alternatives.begin(); !pool && other != folder.alternatives.end(); ++other)
    if ((pool = devices.find(*other)))
      log_event(spdlog::level::warn, "device is not there, an alternative is",
                {{"model", folder.name}, {"device", folder.device}, {"alternative", *other}});
  return pool;
}

error no_device(const device_table& devices, const model_folder& folder) {
  std::string wanted = "'" + folder.device + "'", names;
  for (const auto& other : folder.alternatives)
    wanted += ", '" + other + "'";
  for (const auto& name : devices.names())
    names += (names.empty() ? "" : ", ") + name;
  return make_error(status_code::unavailable, "there is no device " + wanted,
                    "this machine has: " + (names.empty() ? "none" : names));
}

void begin_load(model_self* self) {
  auto& state = self->state;
  auto folder = state.model->folder();
  state.began = steady_clock::now();
  state.pool = choose_pool(*state.context.devices, folder);
  if (!state.pool)
    return fail(self, no_device(*state.context.devices, folder));
  if (folder.threads > state.pool->stats().threads)
    return fail(self, make_error(status_code::unavailable,
                                 "an instance wants " + std::to_string(folder.threads) + " threads, and device '" +
                                     state.pool->name() + "' has " + std::to_string(state.pool->stats().threads),
                                 "lower threads in model.toml"));
  auto memory = state.pool->reserve(folder.memory);
  if (!memory)
    return fail(self, make_error(status_code::unavailable, memory.error().cause, memory.error().remedy));
  state.memory.emplace(*std::move(memory));
  folder.device = state.pool->name();
  state.loading = state.pool->submit(
      make_job([folder, trial = state.context.trial, me = caf::actor_cast<caf::actor>(self),
                token = state.scope.token()] { caf::anon_send(me, load(folder, trial.get(), token)); }));
  if (!state.loading)
    fail(self, make_error(status_code::unavailable, "device '" + folder.device + "' has been stopped"));
}

/// No longer than it takes to notice that work ignores its cancellation: an instance that is ended for that after the
/// usual `cancel.grace` has worked long enough to be started again at once.
restart_backoff backoff_of(const restart_settings& settings) {
  return {.first = settings.backoff, .most = settings.max_backoff, .at_once = 1};
}

void begin_instances(model_self* self) {
  auto& state = self->state;
  const auto& folder = state.model->folder();
  state.model->set_described(state.loaded->describe(), state.loaded->batching(),
                             state.pool->stats().threads / folder.threads, state.loaded->metrics());
  const instance_place where{state.pool, state.pool->open_share({folder.name, folder.weight, folder.threads})};
  std::vector<child_spec> specs;
  // The first to start, and the last to stop: instances may hold what belongs to it.
  if (state.model->describe()->stateful)
    specs.push_back({folder.name + "/sequences",
                     [model = state.model](caf::actor_system& system) { return spawn_sequences(system, model); }});
  for (std::int64_t i = 0; i != folder.instances; ++i)
    specs.push_back({folder.name + "/" + std::to_string(i),
                     [loaded = state.loaded, model = state.model, where](caf::actor_system& system) {
                       return spawn_instance(system, loaded, model, where);
                     },
                     restart_type::permanent, std::chrono::milliseconds::max()});
  state.instances = spawn_supervisor(self->system(),
                                     {.name = folder.name,
                                      .intensity = folder.restart.intensity,
                                      .period = folder.restart.period,
                                      .backoff = backoff_of(folder.restart),
                                      .on_report = state.context.on_report},
                                     std::move(specs));
  self->monitor(state.instances);
  self->request(state.instances, caf::infinite, start_atom::value)
      .then(
          [self] {
            const auto& model = *self->state.model;
            if (self->state.exit_reason)
              return;
            const std::chrono::duration<double, std::milli> took = steady_clock::now() - self->state.began;
            log_event(spdlog::level::info, "model ready",
                      {{"model", model.name()},
                       {"version", model.version()},
                       {"device", self->state.pool->name()},
                       {"instances", model.folder().instances},
                       {"ms", took.count()}});
            // Afterwards, or the node's being ready could stand in the log before its model's.
            self->state.model->set_ready();
            if (self->state.takes_over)
              self->state.context.routes->insert(self->state.model);
            settle(self->state, {});
          },
          [](const caf::error&) { /* the supervisor ends with this error: see the down handler */ });
}

/// Ends the actor for the reason it was given, once nothing of the model runs any more.
void finish(model_self* self) {
  auto& state = self->state;
  if (state.model->describe()) {
    const auto queue = state.model->calls().stats();
    const auto done = state.model->counts().read();
    log_event(spdlog::level::info, "model stopped",
              {{"model", state.model->name()},
               {"admitted", queue.admitted},
               {"executed", done.queue.count},
               {"refused", queue.refused},
               {"expired", queue.expired},
               {"withdrawn", queue.withdrawn}});
  } else {
    log_event(spdlog::level::info, "model stopped", {{"model", state.model->name()}});
  }
  state.loaded.reset();
  state.memory.reset();
  state.pool.reset();
  settle(state, *state.exit_reason);
  self->quit(*state.exit_reason);
}

void on_exit(model_self* self, const caf::error& reason) {
  auto& state = self->state;
  if (state.exit_reason)
    return;
  state.exit_reason = reason;
  const auto stopping = make_error(status_code::unavailable, "the model is being stopped", "try another node");
  state.scope.cancel(stopping);
  if (state.model && state.model->current().state == model_state::unloading)
    state.model->set_unloaded();
  else if (state.model)
    state.model->set_unavailable(stopping);
  if (state.instances)
    self->send_exit(state.instances, caf::exit_reason::user_shutdown);
  else if (!state.loading)
    state.model ? finish(self) : self->quit(reason);
}

caf::result<void> drain(model_self* self, std::chrono::milliseconds patience) {
  auto& model = *self->state.model;
  model.set_unloading();
  auto promise = self->make_response_promise();
  const cancel_scope scope{after(patience, {})};
  await(self, model.drained(), scope.token(), [promise](const expected<void>&) mutable { promise.deliver(caf::unit); });
  return promise;
}

caf::behavior model_actor(model_self* self, model_folder folder, model_context context, load_cause cause) {
  self->state.context = context;
  self->state.cause = cause;
  self->set_exit_handler([self](const caf::exit_msg& exit) { on_exit(self, exit.reason); });
  self->set_down_handler([self](const caf::down_msg& down) {
    self->state.instances = nullptr;
    if (self->state.exit_reason)
      finish(self);
    else
      fail(self, from_caf(down.reason));
  });
  return {
      [self, folder](start_atom) {
        auto& state = self->state;
        state.model = std::make_shared<served_model>(folder, [routes = std::weak_ptr{state.context.routes}] {
          if (const auto r = routes.lock())
            r->notify();
        });
        const auto before = state.context.routes->find(folder.name, {});
        state.takes_over = before && (*before)->ready();
        if (!state.takes_over)
          state.context.routes->insert(state.model);
        begin_load(self);
      },
      [self](loaded_atom) -> caf::result<void> {
        auto promise = self->make_response_promise();
        if (self->state.outcome)
          tell(promise, *self->state.outcome);
        else
          self->state.waiting.push_back(promise);
        return promise;
      },
      [self](drain_atom, std::int64_t most_ms) { return drain(self, std::chrono::milliseconds{most_ms}); },
      [self](const load_result& result) {
        auto& state = self->state;
        state.loading = false;
        if (state.exit_reason) {
          finish(self);
        } else if (result.failure) {
          fail(self, *result.failure);
        } else {
          state.loaded = result.loaded;
          begin_instances(self);
        }
      },
  };
}

}  // namespace

caf::actor spawn_model(caf::actor_system& system, model_folder folder, model_context context, load_cause cause) {
  return system.spawn(model_actor, std::move(folder), std::move(context), cause);
}

}  // namespace troupe
