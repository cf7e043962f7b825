#pragma once

#include "actors/concurrency/error.hpp"
#include "actors/serving/model_actor.hpp"
#include "actors/serving/model_folder.hpp"

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace troupe {

class skillset_catalog;
struct repository_task;

/// Loads models into a running node, and unloads them: what gateways have of the actor that owns the models.
/// Thread-safe.
///
/// What is asked for one model is done in the order of its coming, and of what waits for the same the one answers for
/// all; different models don't wait for each other. A load reads the model's folder again. While it takes place, the
/// model that serves already goes on, and it goes on when the load fails; otherwise the new one takes its place without
/// a request being refused, and the old one ends when those who are in have their answers. An unload gives up a load
/// that is under way.
class model_repository {
 public:
  /// Told once, from any thread, how it went; must not block.
  using told = std::function<void(expected<void>)>;

  /// Loads the model `name`, or loads it again; OK once it is READY. `settings`, in TOML, go before those of its
  /// model.toml. NOT_FOUND, INVALID_ARGUMENT, what loading it says, CANCELLED by an unload, RESOURCE_EXHAUSTED when too
  /// much waits for this model, UNAVAILABLE when the node is stopping.
  void load(std::string name, std::string settings, told on_done);

  /// Unloads a model: lets nobody in any more, waits for those who are in as long as the node's drain allows, and stops
  /// it. OK once it has ended, or when it wasn't loaded. NOT_FOUND, and as above.
  void unload(std::string name, told on_done);

  /// For the owner of the models, as it starts; null once it ends.
  void attach(caf::actor owner);

 private:
  void ask(const std::shared_ptr<repository_task>& task, told on_done) const;

  mutable std::mutex mutex_;
  caf::actor owner_;
};

/// What the owner of a node's models works with.
struct repository_settings {
  std::filesystem::path folder;                                ///< with a folder for each model
  std::shared_ptr<skillset_catalog> catalog;                   ///< null: nothing can be loaded later
  std::chrono::milliseconds drain = std::chrono::seconds{30};  ///< that requests get before their model is stopped
};

/// Spawns the owner of a node's models: it supervises the actors of those that the node starts with, and loads and
/// unloads others when `handle` is asked to. It is started and stopped as every supervisor is.
caf::actor spawn_model_repository(caf::actor_system& system, std::vector<model_folder> at_start, model_context context,
                                  repository_settings settings, std::shared_ptr<model_repository> handle);

}  // namespace troupe
