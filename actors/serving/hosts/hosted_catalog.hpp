#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/concurrency/error.hpp"
#include "actors/serving/hosts/host_process.hpp"
#include "actors/serving/skillset_file.hpp"

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace troupe {

class skillset;

/// The skillsets that live in host processes. What each of them is, only such a process can say: it is asked once for
/// each state of a file, however many want to know at the same time, and the answer is remembered. Thread-safe.
class hosted_catalog {
 public:
  /// `host` is the program for host processes.
  explicit hosted_catalog(std::filesystem::path host);
  ~hosted_catalog();

  /// The skillset of that file as it is now; one that was replaced is another skillset, and the one before lives as
  /// long as somebody has it. Blocking, for as long as a process needs to start, or until `token` is cancelled.
  /// NOT_FOUND, INVALID_ARGUMENT for a wrong manifest, what `check_plugin` says, FAILED_PRECONDITION for a file that
  /// has another name than its skillset, and what starting a host says. A refusal isn't remembered here: whatever was
  /// the matter may have been mended.
  expected<std::shared_ptr<skillset>> find(const skillset_file& what, const cancel_token& token);

  /// The same, with refusals remembered as long as the file stays as it is, and until a `find` goes better.
  expected<std::shared_ptr<skillset>> describe(const skillset_file& what, const cancel_token& token);

  /// Those that are known at this moment.
  std::vector<std::shared_ptr<skillset>> known() const;

 private:
  class entry;

  expected<std::shared_ptr<entry>> entry_of(const skillset_file& what);
  expected<host_command> command_of(const skillset_file& what) const;
  expected<std::shared_ptr<skillset>> ask(const skillset_file& what, const cancel_token& token) const;

  const std::filesystem::path host_;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<entry>> entries_;  // guarded by mutex_; by path, or by name of what is built in
};

}  // namespace troupe
