#pragma once

#include "actors/concurrency/error.hpp"

#include <cstdint>
#include <optional>

namespace troupe {

/// What a host may do.
struct host_limits {
  std::optional<std::uint64_t> memory_mib;  ///< of what it allocates, touched or not
  std::optional<std::uint64_t> open_files;
  bool network = false;  ///< without: sockets of the machine itself (AF_UNIX) only
};

/// Where the socket to the node is.
inline constexpr int node_socket = 3;

/// That descriptor 3 is a stream socket. FAILED_PRECONDITION.
expected<void> check_node_socket();

/// Leaves the socket to the program that this process becomes.
expected<void> keep_node_socket();

/// Makes this process what a plug-in may run in, for good and before any of its code does: it dies with the node, keeps
/// nothing that it inherited but the socket and stderr, gains no privileges, leaves no core behind, nor its
/// process group, and has these limits. All of it holds after an execve(2), too. To be called while it has one thread.
expected<void> isolate(const host_limits& limits);

}  // namespace troupe
