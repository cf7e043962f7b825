#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace troupe::bench {

/// One window of closed-loop load.
struct load_options {
  std::string target;
  /// The name that the server gives to the tensor it echoes.
  std::string output = "output";
  /// Requests in flight at any time, spread over the connections.
  int concurrency = 8;
  /// Connections, each of its own, with a client thread each; never more than `concurrency`.
  int connections = 2;
  std::chrono::milliseconds warm_up{500};
  std::chrono::milliseconds window{2000};
  /// Texts, of which each request carries one; empty: the echo's numbers.
  std::vector<std::string> texts;
  std::string model = "identity";
  /// The server, whose CPU time is taken over the window; 0 for a server that is not on this machine.
  pid_t server = 0;
};

/// What was measured between the end of the warm-up and the end of the window. Percentiles and CPU time are in
/// microseconds; CPU time is the server process's alone, user and system, of all its threads.
struct load_result {
  std::uint64_t requests = 0;
  double seconds = 0;
  double p50 = 0;
  double p99 = 0;
  double cpu_per_request = 0;
  /// Requests that failed or were answered wrongly, warm-up included, and the first one's text.
  std::uint64_t failures = 0;
  std::string first_failure;
};

/// Sends model `identity` FP32 [1,16] with raw contents, as fast as the answers come back, and compares every answer
/// with what was sent; or with texts the model BYTES `text` [1], one after another, and sees that there is an answer.
load_result run_load(const load_options& options);

}  // namespace troupe::bench
