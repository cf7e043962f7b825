#include "actors/serving/model_repository.hpp"

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/concurrency/log.hpp"
#include "actors/execution/device_actor.hpp"
#include "actors/execution/executor_pool.hpp"
#include "actors/serving/router.hpp"
#include "actors/supervision/supervisor.hpp"
#include "actors/supervision/supervisor_admin.hpp"

#include <caf/actor_cast.hpp>
#include <caf/actor_system.hpp>
#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/response_promise.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <utility>

namespace troupe {

/// A wish, and who waits for it. Answered once, also when the owner of the models ends before it comes to it.
struct repository_task {
  enum class action : std::uint8_t { load, unload };

  ~repository_task() { answer(make_error(status_code::unavailable, "the node is stopping", "try another node")); }

  void answer(const expected<void>& how) {
    for (const auto& on_done : std::exchange(waiting, {}))
      on_done(how);
  }

  action what = action::load;
  std::string name;
  std::string settings;  // of a load
  std::vector<model_repository::told> waiting;
};

using repository_task_ptr = std::shared_ptr<repository_task>;

/// What a pool thread read of a model's folder.
struct folder_read {
  std::string name;
  std::shared_ptr<expected<model_folder>> folder;
};

}  // namespace troupe

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::repository_task_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::folder_read)

namespace troupe {
namespace {

/// Tasks that may wait for one model. As neighbours that want the same are one, more than a few are a quarrel.
constexpr std::size_t most_waiting = 32;

constexpr auto for_ever = std::chrono::milliseconds::max();

using action = repository_task::action;

/// What is known of the models of one name.
struct slot {
  std::string child;            // of the supervisor, whose model has the name; empty: none
  std::string loading;          // child that is to take its place; empty: none
  repository_task_ptr current;  // under way
  bool given_up = false;        // the load under way, for the sake of an unload
  cancel_scope reading;         // of the model's folder, for that load
  std::deque<repository_task_ptr> waiting;
};

struct repository_state {
  static constexpr const char* name = "models";

  ~repository_state() {
    if (handle)
      handle->attach(nullptr);
  }

  model_context context;
  repository_settings settings;
  std::shared_ptr<model_repository> handle;
  caf::actor supervisor;
  std::map<std::string, slot> slots;
  std::uint64_t loads = 0;
  std::optional<caf::error> exit_reason;
};

using repository_self = caf::stateful_actor<repository_state>;

void next(repository_self* self, const std::string& name);

child_spec spec_of(std::string id, const model_folder& folder, const model_context& context, load_cause cause) {
  return {std::move(id),
          [folder, context, cause](caf::actor_system& system) mutable {
            // Restarted, it is wanted by the node.
            return spawn_model(system, folder, context, std::exchange(cause, load_cause::start));
          },
          restart_type::permanent, for_ever};
}

void finish(repository_self* self, const std::string& name, const expected<void>& how) {
  auto& slot = self->state.slots[name];
  const auto task = std::exchange(slot.current, nullptr);
  task->answer(how);
  next(self, name);
}

/// Ends a child of the supervisor, and forgets it.
template <class Then>
void remove(repository_self* self, const std::string& child, Then then) {
  ask(*self, self->state.supervisor, admin::terminate_child(child), [self, child, then](const admin_result<done>&) {
    ask(*self, self->state.supervisor, admin::delete_child(child),
        [then](const admin_result<done>&) mutable { then(); });
  });
}

/// Lets those who are in a model have their answers first.
template <class Then>
void drain_and_remove(repository_self* self, const std::string& child, Then then) {
  const auto patience = self->state.settings.drain.count();
  ask(*self, self->state.supervisor, admin::which_children(),
      [self, child, patience, then](const admin_result<std::vector<child_info>>& children) {
        const auto end = [self, child, then] { remove(self, child, then); };
        caf::actor model;
        if (children)
          for (const auto& info : *children)
            if (info.id == child)
              model = info.instance;
        if (!model)
          return end();
        self->request(model, caf::infinite, drain_atom::value, std::int64_t{patience})
            .then(end, [end](const caf::error&) { end(); });
      });
}

void loaded(repository_self* self, const std::string& name) {
  auto& slot = self->state.slots[name];
  const auto old = std::exchange(slot.child, std::exchange(slot.loading, {}));
  slot.current->answer({});
  if (old.empty())
    finish(self, name, {});
  else
    drain_and_remove(self, old, [self, name] { finish(self, name, {}); });
}

/// A model that serves goes on. One that doesn't gives way to the one that couldn't be loaded, which tells why.
void not_loaded(repository_self* self, const std::string& name, error why) {
  auto& slot = self->state.slots[name];
  const auto there = self->state.context.routes->find(name, {});
  auto gone = std::exchange(slot.loading, {});
  if (slot.given_up)
    why = make_error(status_code::cancelled, "loading model '" + name + "' was given up, because it is to be unloaded");
  else if (there && (*there)->ready())
    why.remedy += std::string{why.remedy.empty() ? "" : "; "} + "the model that was there serves on";
  else if (!gone.empty())
    std::swap(gone, slot.child);
  const auto ended = [self, name, why] { finish(self, name, why); };
  gone.empty() ? ended() : remove(self, gone, ended);
}

void start_model(repository_self* self, const model_folder& folder) {
  auto& state = self->state;
  auto& slot = state.slots[folder.name];
  slot.loading = folder.name + "#" + std::to_string(++state.loads);
  ask(*self, state.supervisor, admin::start_child(spec_of(slot.loading, folder, state.context, load_cause::request)),
      [self, name = folder.name](const admin_result<started_child>& started) {
        if (!started) {
          self->state.slots[name].loading.clear();
          return not_loaded(self, name, started.error());
        }
        self->request(started->instance, caf::infinite, loaded_atom::value)
            .then([self, name] { loaded(self, name); },
                  [self, name](const caf::error& e) { not_loaded(self, name, from_caf(e)); });
      });
}

void begin_load(repository_self* self, const repository_task& task) {
  auto& state = self->state;
  if (!state.settings.catalog)
    return not_loaded(self, task.name, make_error(status_code::failed_precondition, "this node has no repository"));
  auto& reading = state.slots[task.name].reading;
  reading = cancel_scope{};
  const auto read = [me = caf::actor_cast<caf::actor>(self), name = task.name, text = task.settings,
                     from = state.settings, token = reading.token()] {
    caf::anon_send(me, folder_read{name, std::make_shared<expected<model_folder>>(
                                             read_model(from.folder, name, *from.catalog, text, token))});
  };
  const auto pool = state.context.devices->find("CPU");
  if (!pool || !pool->submit(make_job(read)))
    return not_loaded(self, task.name, make_error(status_code::unavailable, "device 'CPU' has been stopped"));
}

void begin_unload(repository_self* self, const std::string& name) {
  const auto end = [self, name] {
    if (const auto model = self->state.context.routes->find(name, {}))
      (*model)->set_unloaded();
    finish(self, name, {});
  };
  if (const auto model = self->state.context.routes->find(name, {}); !model)
    return finish(self, name, model.error());
  const auto child = std::exchange(self->state.slots[name].child, {});
  child.empty() ? end() : drain_and_remove(self, child, end);
}

/// Begins what is to be done next for a model, if nothing is under way.
void next(repository_self* self, const std::string& name) {
  auto& slot = self->state.slots[name];
  if (slot.current || self->state.exit_reason)
    return;
  if (slot.waiting.empty()) {
    if (slot.child.empty())
      self->state.slots.erase(name);
    return;
  }
  slot.current = std::move(slot.waiting.front());
  slot.waiting.pop_front();
  slot.given_up = false;
  if (slot.current->what == action::load)
    begin_load(self, *slot.current);
  else
    begin_unload(self, name);
}

/// Has a load that is under way end soon.
void give_up_load(repository_self* self, slot& of) {
  of.given_up = true;
  of.reading.cancel();
  if (!of.loading.empty())
    ask(*self, self->state.supervisor, admin::terminate_child(of.loading), [](const admin_result<done>&) {});
}

void accept(repository_self* self, const repository_task_ptr& task) {
  if (self->state.exit_reason)
    return;
  auto& slot = self->state.slots[task->name];
  if (auto* last = slot.waiting.empty() ? nullptr : slot.waiting.back().get();
      last && last->what == task->what && last->settings == task->settings) {
    std::move(task->waiting.begin(), task->waiting.end(), std::back_inserter(last->waiting));
    task->waiting.clear();
    return;
  }
  if (slot.waiting.size() == most_waiting)
    return task->answer(
        make_error(status_code::resource_exhausted,
                   std::to_string(most_waiting) + " loads and unloads of model '" + task->name + "' wait already",
                   "wait for their answers"));
  slot.waiting.push_back(task);
  if (task->what == action::unload && slot.current && slot.current->what == action::load)
    give_up_load(self, slot);
  next(self, task->name);
}

void on_read(repository_self* self, const folder_read& read) {
  auto& slot = self->state.slots[read.name];
  if (slot.given_up)
    not_loaded(self, read.name, {});
  else if (!*read.folder)
    not_loaded(self, read.name, read.folder->error());
  else
    start_model(self, **read.folder);
}

caf::behavior repository_actor(repository_self* self, const std::vector<model_folder>& at_start, model_context context,
                               repository_settings settings, std::shared_ptr<model_repository> handle) {
  self->state.context = std::move(context);
  self->state.settings = std::move(settings);
  self->state.handle = std::move(handle);
  self->set_exit_handler([self](const caf::exit_msg& exit) {
    auto& state = self->state;
    if (state.exit_reason)
      return;
    state.exit_reason = exit.reason;
    for (auto& [name, slot] : state.slots)
      slot.reading.cancel();
    if (state.supervisor)
      self->send_exit(state.supervisor, caf::exit_reason::user_shutdown);
    else
      self->quit(exit.reason);
  });
  self->set_down_handler([self](const caf::down_msg& down) {
    self->state.supervisor = nullptr;
    self->quit(self->state.exit_reason.value_or(down.reason));
  });
  return {
      [self, at_start](start_atom) -> caf::result<void> {
        auto& state = self->state;
        if (state.exit_reason)
          return *state.exit_reason;
        std::vector<child_spec> children;
        for (const auto& folder : at_start) {
          state.slots[folder.name].child = folder.name;
          children.push_back(spec_of(folder.name, folder, state.context, load_cause::start));
        }
        state.supervisor = spawn_supervisor(self->system(), {.name = "models", .on_report = state.context.on_report},
                                            std::move(children));
        self->monitor(state.supervisor);
        if (state.handle)
          state.handle->attach(caf::actor_cast<caf::actor>(self));
        auto promise = self->make_response_promise();
        self->request(state.supervisor, caf::infinite, start_atom::value)
            .then([promise]() mutable { promise.deliver(caf::unit); },
                  [promise](const caf::error& e) mutable { promise.deliver(e); });
        return promise;
      },
      [self](const repository_task_ptr& task) { accept(self, task); },
      [self](const folder_read& read) { on_read(self, read); },
  };
}

}  // namespace

void model_repository::attach(caf::actor owner) {
  const std::lock_guard lock{mutex_};
  owner_ = std::move(owner);
}

/// Without an owner the task ends here, and says so.
void model_repository::ask(const std::shared_ptr<repository_task>& task, told on_done) const {
  task->waiting.push_back(std::move(on_done));
  const std::lock_guard lock{mutex_};
  if (owner_)
    caf::anon_send(owner_, task);
}

void model_repository::load(std::string name, std::string settings, told on_done) {
  const auto task = std::make_shared<repository_task>();
  task->name = std::move(name);
  task->settings = std::move(settings);
  ask(task, std::move(on_done));
}

void model_repository::unload(std::string name, told on_done) {
  const auto task = std::make_shared<repository_task>();
  task->what = action::unload;
  task->name = std::move(name);
  ask(task, std::move(on_done));
}

caf::actor spawn_model_repository(caf::actor_system& system, std::vector<model_folder> at_start, model_context context,
                                  repository_settings settings, std::shared_ptr<model_repository> handle) {
  return system.spawn(repository_actor, std::move(at_start), std::move(context), std::move(settings),
                      std::move(handle));
}

}  // namespace troupe
