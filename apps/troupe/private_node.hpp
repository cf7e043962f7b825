#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/concurrency/error.hpp"

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace troupe::cli {

/// A node of one's own with one model, on a free port of this machine; gone with its files when this is. It ends with
/// this program, whatever ends that. What it logs goes to standard error, warnings and worse.
class private_node {
 public:
  /// Starts the program `troupe-node` beside this one with the model in `folder`, and with the skillsets in those
  /// folders besides its own, and returns once it is ready.
  static expected<std::unique_ptr<private_node>> start(const std::filesystem::path& folder,
                                                       const std::vector<std::string>& skillsets,
                                                       const cancel_token& token);

  ~private_node();
  private_node(const private_node&) = delete;
  private_node& operator=(const private_node&) = delete;

  const std::string& address() const noexcept { return address_; }

  /// That it and its host processes have had so far, user and system, those included that have ended.
  std::chrono::nanoseconds cpu_time() const;

 private:
  explicit private_node(std::filesystem::path files) : files_(std::move(files)) {}

  expected<void> launch(const std::filesystem::path& model, const std::vector<std::string>& skillsets);
  expected<void> await_ready(const cancel_token& token);

  const std::filesystem::path files_;
  pid_t process_ = 0;
  std::string address_;
};

}  // namespace troupe::cli
