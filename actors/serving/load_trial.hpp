#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/concurrency/error.hpp"

#include <memory>
#include <mutex>
#include <set>
#include <string>

namespace troupe {

struct model_folder;
class skillset_catalog;

/// Files that nobody has loaded yet may crash the skillset that reads them, and in the node's own process that would
/// be everybody's end. So they are loaded by a host process first, which may die of it. Remembers for as long as it
/// lives what went well: files are known by their hashes, together with the skillset. Thread-safe.
class load_trial {
 public:
  explicit load_trial(std::shared_ptr<skillset_catalog> catalog);

  /// Has a host load the model, unless its files are known, or there are none, or it will live in hosts anyway;
  /// blocking, for as long as a load. To be called when the files' hashes have been checked. UNAVAILABLE with how the
  /// host died of it, and what loading says.
  expected<void> pass(const model_folder& folder, const cancel_token& token);

 private:
  bool is_known(const std::string& files) const;

  const std::shared_ptr<skillset_catalog> catalog_;
  mutable std::mutex mutex_;
  std::set<std::string> known_;  // guarded by mutex_
};

}  // namespace troupe
