#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/concurrency/error.hpp"
#include "actors/serving/skillset_catalog.hpp"
#include "skillsets/sdk/skillset.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe {

/// What a model allows a request.
struct model_limits {
  std::int64_t items = 1024;  ///< along the first axis of a model that batches
};

/// How often the instances of a model may be started again within `period` before it is UNAVAILABLE, and what they wait
/// for that: an instance's first failure is bad luck; after each further one it is `backoff`, and twice as long as
/// before, at most `max_backoff`. One that has worked for that long begins anew.
struct restart_settings {
  std::int64_t intensity = 3;
  std::chrono::milliseconds period = std::chrono::minutes{1};
  std::chrono::milliseconds backoff{100};  ///< 0: none
  std::chrono::milliseconds max_backoff = std::chrono::seconds{1};
};

/// How requests wait for an instance.
struct queue_settings {
  std::size_t capacity = 128;  ///< requests
  std::chrono::microseconds max_wait = std::chrono::seconds{5};
  std::uint32_t priorities = 3;        ///< a request may have: 1, the most urgent, to this
  std::uint32_t default_priority = 2;  ///< of a request that says nothing
};

/// How requests are put together; what isn't said is the skillset's to say.
struct batching_settings {
  std::optional<std::int64_t> max_batch;  ///< items
  std::optional<std::int64_t> max_units;  ///< such as tokens, padding included
  std::chrono::microseconds max_delay{};  ///< that a batch waits to become fuller; 0: it is what is there
};

/// How a stateful model keeps its sequences.
struct sequence_settings {
  std::size_t capacity = 1024;  ///< sequences at a time
  std::chrono::microseconds max_idle = std::chrono::seconds{1};
};

/// What a model that can't be served means for the node.
enum class failure_policy : std::uint8_t {
  fatal,        ///< the node ends
  unavailable,  ///< the model is UNAVAILABLE with the reason, and the node serves the others
};

/// A file of a model, and what it must contain.
struct model_file {
  std::filesystem::path path;
  std::string sha256;  ///< lower-case hexadecimal digits
};

/// A model as `<repository>/<name>/model.toml` describes it.
struct model_folder {
  std::string name;
  std::filesystem::path path;
  std::string version = "1";
  std::shared_ptr<skillset> skills;  ///< one that can't be used refuses to load anything, with the reason
  isolation_kind isolation = isolation_kind::thread;
  std::string device = "CPU";
  std::vector<std::string> alternatives;  ///< to that device, in the order of their preference
  std::int64_t instances = 1;
  std::size_t threads = 1;   ///< of the device that an instance takes while it works
  double weight = 1;         ///< of the model, where several want the device
  std::uint64_t memory = 0;  ///< of the device that the model takes, in bytes
  failure_policy on_failure = failure_policy::fatal;
  std::map<std::string, model_file, std::less<>> files;  ///< by role
  parameter_map options;
  model_limits limits;
  bool idempotent = true;  ///< a request may run again after an instance broke that had it
  restart_settings restart;
  host_settings host;
  queue_settings queue;
  batching_settings batching;
  sequence_settings sequences;
};

/// Reads one model's folder. INVALID_ARGUMENT names file, line and key; NOT_FOUND when there is no model.toml. What
/// `settings` says, in TOML, comes in place of what model.toml says; it may not replace the model itself, which is
/// `skillset`, `version` and `[files]`. A skillset that is there and can't be used is an error of a model that the node
/// can't be without; one that may be unavailable will be so, with the reason. What a skillset is may have to be asked
/// of a host process, which is waited for until `token` is cancelled; then the answer is its reason.
expected<model_folder> read_model_folder(const std::filesystem::path& folder, skillset_catalog& catalog,
                                         std::string_view settings = {}, const cancel_token& token = {});

/// The same for the repository's model of that name. NOT_FOUND when there is no such model, whatever the name is.
expected<model_folder> read_model(const std::filesystem::path& repository, const std::string& name,
                                  skillset_catalog& catalog, std::string_view settings, const cancel_token& token = {});

/// Reads every folder of the repository that holds a model.toml, in the order of their names. NOT_FOUND when the
/// repository itself isn't there; otherwise the first error.
expected<std::vector<model_folder>> read_model_repository(const std::filesystem::path& repository,
                                                          skillset_catalog& catalog, const cancel_token& token = {});

/// Checks that every file of the model is there and has its hash; blocking. NOT_FOUND or DATA_LOSS names the file.
expected<void> verify_files(const model_folder& folder, const cancel_token& token);

/// What the skillset gets to see.
model_settings settings_of(const model_folder& folder);

}  // namespace troupe
