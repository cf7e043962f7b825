#pragma once

#include "actors/concurrency/error.hpp"

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace troupe {

/// How a host is started.
struct host_command {
  std::filesystem::path program;  ///< troupe-host, or whatever else speaks host.proto
  std::vector<std::string> arguments;
};

/// A child process with a socket to it. What it writes to its standard output and error becomes lines of the node's
/// log. It is in a process group of its own, which is killed as a whole. Ended and reaped when this is destroyed.
/// Thread-safe.
class host_process {
 public:
  /// Starts it; `whose` is the model's name, for the log. UNAVAILABLE when the system can't.
  static expected<std::unique_ptr<host_process>> start(const host_command& command, const std::string& whose);

  ~host_process();
  host_process(const host_process&) = delete;
  host_process& operator=(const host_process&) = delete;

  /// Our end, which does not block.
  int socket() const noexcept { return socket_; }
  pid_t id() const noexcept { return id_; }

  /// SIGKILL for the whole group. It has ended soon after.
  void kill() noexcept;

  /// Has `on_end` called once it has ended, with how; at once when it has. From another thread. To be called once.
  void watch(std::function<void(error)> on_end);

  /// SIGTERM for the whole group, which it may heed or not.
  void ask_to_end() noexcept;

  /// Waits until it has ended, for as long as `most`.
  void wait(std::chrono::milliseconds most) const noexcept;

  /// Kills it if it still runs, waits until it has ended, and tells how: UNAVAILABLE with its signal or exit code, and
  /// its last words.
  error end();

 private:
  host_process(int socket, int output, std::string whose);

  int spawn(const host_command& command, int socket, int output);
  void signal(int number) noexcept;
  void follow();
  void read_output();
  void say(std::string line);
  void reap();

  const int socket_;
  const int output_;  // a pipe from its standard output and error
  pid_t id_ = 0;      // 0: it could not be started
  int handle_ = -1;   // a pidfd: the id may be somebody else's once it was reaped
  const std::string whose_;
  std::string line_;      // the follower's: what it has read of the next one
  std::size_t said_ = 0;  // the follower's: bytes in the current second
  std::chrono::steady_clock::time_point second_{};
  std::mutex mutex_;
  std::deque<std::string> last_words_;  // guarded by mutex_, as are the next
  std::optional<error> ended_;
  std::function<void(error)> on_end_;
  std::thread follower_;
};

}  // namespace troupe
