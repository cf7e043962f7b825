#include "actors/execution/device_actor.hpp"

#include "actors/concurrency/await.hpp"
#include "actors/concurrency/log.hpp"
#include "actors/execution/executor_pool.hpp"
#include "actors/supervision/supervisor.hpp"

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/stateful_actor.hpp>

#include <optional>
#include <system_error>

namespace troupe {
namespace {

struct device_state {
  static constexpr const char* name = "device";

  std::shared_ptr<executor_pool> pool;
  std::optional<caf::error> exit_reason;
};

expected<std::shared_ptr<executor_pool>> make_pool(const device& what) {
  try {
    return std::make_shared<executor_pool>(what.name, pool_capacity{.threads = what.slots, .bytes = what.bytes});
  } catch (const std::system_error& e) {
    return make_error(status_code::resource_exhausted,
                      "device '" + what.name + "' can't have " + std::to_string(what.slots) + " threads: " + e.what(),
                      "allow the process more threads, or lower cpu.slots");
  }
}

/// Words with spaces between them.
void append(std::string& text, const std::string& word) {
  text += (text.empty() ? "" : " ") + word;
}

void log_ready(const device& what) {
  std::string sets, runtimes, capabilities;
  for (const auto& name : what.instruction_sets)
    append(sets, name);
  for (const auto& runtime : what.runtimes) {
    append(runtimes, runtime.runtime + " " + runtime.version);
    for (const auto& word : runtime.capabilities)
      append(capabilities, word);
  }
  log_event(spdlog::level::info, "device ready",
            {{"device", what.name},
             {"name", what.full_name},
             {"slots", what.slots},
             {"cores", what.cores},
             {"bytes", what.bytes},
             {"instruction_sets", sets},
             {"runtimes", runtimes},
             {"capabilities", capabilities}});
}

caf::behavior device_actor(caf::stateful_actor<device_state>* self, device what, std::shared_ptr<device_table> table) {
  self->set_exit_handler([self, table, name = what.name](const caf::exit_msg& exit) {
    if (self->state.exit_reason)
      return;
    self->state.exit_reason = exit.reason;
    table->erase(name);
    if (!self->state.pool)
      return self->quit(exit.reason);
    self->state.pool->close();
    await(self, self->state.pool->drained(), {}, [self](const expected<void>&) {
      self->state.pool.reset();
      self->quit(*self->state.exit_reason);
    });
  });
  return {
      [self, table, what](start_atom) -> caf::result<void> {
        // An exit message overtakes the request to start.
        if (self->state.exit_reason)
          return *self->state.exit_reason;
        auto pool = make_pool(what);
        if (!pool)
          return to_caf(pool.error());
        self->state.pool = *std::move(pool);
        table->insert(what, self->state.pool);
        log_ready(what);
        return caf::unit;
      },
  };
}

}  // namespace

std::shared_ptr<executor_pool> device_table::find(const std::string& device) const {
  const std::lock_guard lock{mutex_};
  const auto i = running_.find(device);
  return i == running_.end() ? nullptr : i->second.pool;
}

std::vector<std::string> device_table::names() const {
  const std::lock_guard lock{mutex_};
  std::vector<std::string> result;
  for (const auto& [name, running] : running_)
    result.push_back(name);
  return result;
}

std::vector<running_device> device_table::all() const {
  const std::lock_guard lock{mutex_};
  std::vector<running_device> result;
  for (const auto& [name, running] : running_)
    result.push_back(running);
  return result;
}

void device_table::insert(device what, std::shared_ptr<executor_pool> pool) {
  const std::lock_guard lock{mutex_};
  auto name = what.name;
  running_.insert_or_assign(std::move(name), running_device{std::move(what), std::move(pool)});
}

void device_table::erase(const std::string& device) {
  const std::lock_guard lock{mutex_};
  running_.erase(device);
}

caf::actor spawn_device(caf::actor_system& system, device what, std::shared_ptr<device_table> table) {
  return system.spawn(device_actor, std::move(what), std::move(table));
}

}  // namespace troupe
