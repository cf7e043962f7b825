#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace troupe::bench {

/// So many requests a second for so long.
struct open_phase {
  double rate = 0;
  double seconds = 0;
};

/// Load that comes when it comes, whatever becomes of what came before: what a closed loop can't show, whose clients
/// stop asking as soon as the server is slow.
struct open_options {
  std::string target;
  std::string model = "identity";
  /// As `load_options` has them.
  std::vector<std::string> texts;
  /// Which take turns; a thread each to send and to receive.
  int connections = 2;
  pid_t server = 0;
  std::vector<open_phase> phases;
  /// Intervals of exponential length, from `seed`; else all of the same.
  bool poisson = true;
  std::uint64_t seed = 1;
};

/// Requests that ended in one way, and how long they took from when they were due: a client that is late itself makes
/// nothing look faster. Times are in microseconds.
struct open_outcome {
  std::uint64_t count = 0;
  double p50 = 0;
  double p90 = 0;
  double p99 = 0;
};

/// A tenth of a second of a phase.
struct open_slice {
  std::uint64_t answered = 0;
  std::uint64_t refused = 0;
  double p50 = 0;  ///< of what was answered
};

/// What became of the requests that were due in a phase.
struct open_result {
  open_phase phase;
  std::uint64_t sent = 0;
  open_outcome answered;
  open_outcome refused;  ///< RESOURCE_EXHAUSTED
  open_outcome failed;   ///< anything else
  /// Answers that came while the phase lasted, also to what was due before; what was answered after it isn't in it.
  std::uint64_t good = 0;
  double late_p99 = 0;  ///< from when a request was due until the client sent it
  double cpu = 0;       ///< seconds of the server's process while the phase lasted
  std::vector<open_slice> slices;
  std::string first_failure;
};

/// Sends until the last phase is over, waits until all is answered, and tells of each phase.
std::vector<open_result> run_open_loop(const open_options& options);

}  // namespace troupe::bench
