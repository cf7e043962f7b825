#pragma once

#include "actors/concurrency/error.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace troupe {

class skillset;
struct runtime_device;

/// Where the instances of a model run.
enum class isolation_kind : std::uint8_t {
  thread,   ///< in the node
  process,  ///< each in a host process of its own
};

/// What `skills` says of its devices; INTERNAL where that throws.
expected<std::vector<runtime_device>> devices_of(skillset& skills);

/// The skillsets that models may use: those built into the program, and those in a folder of shared objects, each
/// opened when the first model asks for it and kept until the program ends. Thread-safe.
class skillset_catalog {
 public:
  /// Looks for `<name>.so` in `folder`, which may be missing. `host` is the program for host processes.
  explicit skillset_catalog(std::filesystem::path folder, std::filesystem::path host = {});
  ~skillset_catalog();

  void add(std::unique_ptr<skillset> built_in);

  /// The skillset called `name`. NOT_FOUND with the names there are; the errors of `open_plugin` when its shared object
  /// can't be opened. For host processes nothing is opened here: one of them says what the skillset is.
  /// Blocking when this is done for the first time.
  expected<skillset*> find(const std::string& name, isolation_kind isolation = isolation_kind::thread);

  /// The devices that the runtimes of those skillsets find that are built in or open; blocking. What a skillset can't
  /// tell is logged, and is missing.
  std::vector<runtime_device> devices() const;

  /// The names of all, comma separated.
  std::string names() const;

 private:
  expected<skillset*> find_hosted(const std::string& name);

  const std::filesystem::path folder_;
  const std::filesystem::path host_;
  mutable std::mutex mutex_;
  std::map<std::string, std::unique_ptr<skillset>> built_in_;
  std::map<std::string, skillset*> opened_;
  std::map<std::string, std::unique_ptr<skillset>> hosted_;
};

}  // namespace troupe
