#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/concurrency/error.hpp"
#include "actors/execution/runtime_device.hpp"
#include "actors/serving/file_identity.hpp"
#include "actors/serving/hosts/hosted_catalog.hpp"
#include "actors/serving/skillset_file.hpp"
#include "skillsets/sdk/skillset.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace troupe {

/// Where the instances of a model run.
enum class isolation_kind : std::uint8_t {
  thread,   ///< in the node
  process,  ///< each in a host process of its own
};

/// What `skills` says of its devices; INTERNAL where that throws.
expected<std::vector<runtime_device>> devices_of(skillset& skills);

/// One skillset in a list of them all.
struct skillset_listing {
  skillset_file file;
  std::optional<skillset_file> shadowed_by;  ///< another one of that name goes before; then nothing else is known
  std::optional<error> refused;              ///< why no model can use it
  std::string version;
  std::string platform;
  std::vector<option_spec> options;
  std::vector<runtime_device> devices;
};

/// The skillsets that models may use: those built into the program, and those in folders, which are looked into anew
/// each time, so that what is put there can be used at once. A folder has shared objects, `<name>.so`, and manifests of
/// programs, `<name>.toml`. Of two with one name the first is used: what is built in, then in the folders' order, a
/// shared object before a manifest. Thread-safe.
class skillset_catalog {
 public:
  /// Looks into `folders`, which may be missing. `host` is the program for host processes.
  explicit skillset_catalog(std::vector<std::filesystem::path> folders, std::filesystem::path host = {});
  ~skillset_catalog();

  void add(std::unique_ptr<skillset> built_in);

  /// Where the skillset of this name is at this moment; NOT_FOUND.
  expected<skillset_file> locate(const std::string& name) const;

  /// The skillset itself; blocking when it is wanted for the first time. In a thread, a shared object is opened, and
  /// stays so until the program ends: the errors of `open_plugin` when that can't be done, and FAILED_PRECONDITION
  /// once another file has its place; a program is INVALID_ARGUMENT. For processes nothing is opened here, one of them
  /// says what the skillset is, until `token` is cancelled: see `hosted_catalog::find`.
  expected<std::shared_ptr<skillset>> find(const skillset_file& what, isolation_kind isolation,
                                           const cancel_token& token = {});

  /// All there are, by their names, and those of one name in the order of preference. Asks a host process for each file
  /// that isn't known as it is now: blocking, for as long as these need to start, or until `token` is cancelled. What
  /// is refused is in the list, with the reason.
  expected<std::vector<skillset_listing>> list(const cancel_token& token);

  /// The devices that the runtimes of those skillsets find that are built in, open, or known from a host; blocking.
  /// What a skillset can't tell is logged, and is missing.
  std::vector<runtime_device> devices() const;

  /// The names of all, comma separated.
  std::string names() const;

 private:
  struct opened_file {
    std::filesystem::path path;
    file_identity identity;
    std::shared_ptr<skillset> skills;
  };

  expected<std::shared_ptr<skillset>> find_opened(const skillset_file& what);
  std::shared_ptr<skillset> find_built_in(const std::string& name) const;
  std::vector<skillset_file> scan() const;
  void describe(skillset_listing& to, const cancel_token& token);

  const std::vector<std::filesystem::path> folders_;
  hosted_catalog hosted_;
  std::mutex opening_;  // held while a shared object is opened
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<skillset>> built_in_;  // guarded by mutex_
  std::map<std::string, opened_file> opened_;                  // guarded by mutex_; by name
};

}  // namespace troupe
