#pragma once

#include "skillsets/sdk/host/frames.hpp"
#include "skillsets/sdk/host/segments.hpp"

#include "troupe/host/v1/host.pb.h"

#include <atomic>
#include <mutex>

namespace troupe {

/// What a host says to its node: writes messages to the socket, with large tensors beside them as the node can take
/// them, and with what it is to know of segments. Thread-safe.
class answer_writer {
 public:
  explicit answer_writer(int socket) noexcept : frames_(socket) {}

  /// The node can take files that go with a message, and segments.
  void allow(bool files, bool segments) noexcept;

  /// Blocks until the node has room. UNAVAILABLE when it is gone; RESOURCE_EXHAUSTED for a message that is too long.
  expected<void> write(host::v1::FromHost& message, attachments files = {});

  bool attaches() const noexcept { return attaches_; }

  /// For the next message, where it attaches.
  attachments files() noexcept { return attachments{shares_ ? &segments_.own : nullptr}; }

  shared_segments& segments() noexcept { return segments_; }

 private:
  std::atomic<bool> attaches_ = false;
  std::atomic<bool> shares_ = false;
  shared_segments segments_;
  std::mutex mutex_;  // so that messages go in the order in which they tell of segments
  frame_writer frames_;
};

}  // namespace troupe
