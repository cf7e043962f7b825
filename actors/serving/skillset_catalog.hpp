#pragma once

#include "actors/concurrency/error.hpp"

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace troupe {

class skillset;
struct runtime_device;

/// What `skills` says of its devices; INTERNAL where that throws.
expected<std::vector<runtime_device>> devices_of(skillset& skills);

/// The skillsets that models may use: those built into the program, and those in a folder of shared objects, each
/// opened when the first model asks for it and kept until the program ends. Thread-safe.
class skillset_catalog {
 public:
  /// Looks for `<name>.so` in `folder`, which may be missing.
  explicit skillset_catalog(std::filesystem::path folder);
  ~skillset_catalog();

  void add(std::unique_ptr<skillset> built_in);

  /// The skillset called `name`. NOT_FOUND with the names there are; INTERNAL with the loader's words when its shared
  /// object can't be opened. Blocking when it must be opened first.
  expected<skillset*> find(const std::string& name);

  /// The devices that the runtimes of those skillsets find that are built in or open; blocking. What a skillset can't
  /// tell is logged, and is missing.
  std::vector<runtime_device> devices() const;

  /// The names of all, comma separated.
  std::string names() const;

 private:
  expected<skillset*> open(const std::filesystem::path& file) const;

  const std::filesystem::path folder_;
  mutable std::mutex mutex_;
  std::map<std::string, std::unique_ptr<skillset>> built_in_;
  std::map<std::string, skillset*> opened_;
};

}  // namespace troupe
