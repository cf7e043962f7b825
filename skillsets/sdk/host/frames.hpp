#pragma once

#include "actors/concurrency/error.hpp"

#include <google/protobuf/message_lite.h>

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>

namespace troupe {

/// The longest message that may cross between a node and a host, in bytes.
inline constexpr std::uint32_t most_frame_bytes = 1u << 30;

/// Appends a message with its length. RESOURCE_EXHAUSTED for one that is too long.
expected<void> append_frame(std::string& bytes, const google::protobuf::MessageLite& message);

/// Writes messages to a stream socket as host.proto says, each as a whole, whoever writes. Thread-safe. The descriptor
/// stays the caller's.
class frame_writer {
 public:
  explicit frame_writer(int socket) noexcept : socket_(socket) {}

  /// Blocks until the other side has room. UNAVAILABLE when it is gone; RESOURCE_EXHAUSTED for a message that is too
  /// long.
  expected<void> write(const google::protobuf::MessageLite& message);

 private:
  const int socket_;
  std::mutex mutex_;
  std::string bytes_;  // guarded by mutex_; kept, so that its memory is
};

/// Reads them, one after the other; for one thread.
class frame_reader {
 public:
  explicit frame_reader(int socket) noexcept : socket_(socket) {}

  /// Reads what has arrived, without blocking for what has not. True once `message` is complete; false when more has to
  /// arrive: then poll the socket. UNAVAILABLE when the other side has closed its end; DATA_LOSS when what came is no
  /// message.
  expected<bool> try_read(google::protobuf::MessageLite& message);

  /// Blocks until there is one.
  expected<void> read(google::protobuf::MessageLite& message);

 private:
  expected<bool> fill(std::size_t wanted);

  const int socket_;
  std::string bytes_;  // of the length, and then of the message
  std::size_t filled_ = 0;
};

}  // namespace troupe
