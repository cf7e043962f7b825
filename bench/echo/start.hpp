#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace troupe::bench {

/// How long a server takes from exec to its first ServerReady that says ready: starts `command`, waits for
/// `ready_file` to appear with the address in it, asks, and ends the server with SIGTERM. Throws std::runtime_error
/// when the server isn't ready within `limit`, exits before, or does not end with 0.
std::chrono::nanoseconds time_start(const std::vector<std::string>& command, const std::string& ready_file,
                                    std::chrono::seconds limit);

}  // namespace troupe::bench
