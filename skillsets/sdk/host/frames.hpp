#pragma once

#include "actors/concurrency/error.hpp"
#include "skillsets/sdk/host/attachments.hpp"

#include <google/protobuf/message_lite.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <utility>

namespace troupe {

/// The longest message that may cross between a node and a host, in bytes.
inline constexpr std::uint32_t most_frame_bytes = 1u << 30;

/// Messages that wait to be sent, each as host.proto says, with what is attached to it. For one thread.
class outgoing_frames {
 public:
  /// RESOURCE_EXHAUSTED for a message that is too long; then nothing of it is sent.
  expected<void> append(const google::protobuf::MessageLite& message, attachments files = {});

  bool empty() const noexcept { return bytes_.empty(); }

  /// Sends as much as there is room for, without blocking. UNAVAILABLE when the other side is gone.
  expected<void> send_some(int socket);

 private:
  std::string bytes_;  // kept, so that its memory is
  std::size_t sent_ = 0;
  std::deque<std::pair<std::size_t, attachments>> files_;  // by where their messages begin
};

/// Writes messages to a stream socket, each as a whole, whoever writes. Thread-safe. The descriptor stays the caller's.
class frame_writer {
 public:
  explicit frame_writer(int socket) noexcept : socket_(socket) {}

  /// Blocks until the other side has room. UNAVAILABLE when it is gone; RESOURCE_EXHAUSTED for a message that is too
  /// long.
  expected<void> write(const google::protobuf::MessageLite& message, attachments files = {});

 private:
  const int socket_;
  std::mutex mutex_;
  outgoing_frames outgoing_;  // guarded by mutex_
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

  /// What came with the message that was read last.
  attachments take_files() noexcept { return std::exchange(complete_, {}); }

 private:
  expected<bool> fill(std::size_t wanted);
  expected<std::size_t> receive(char* to, std::size_t most);

  const int socket_;
  std::string bytes_;  // of the length, and then of the message
  std::size_t filled_ = 0;
  attachments coming_;    // with the message that is being read
  attachments complete_;  // with the one that was
};

}  // namespace troupe
