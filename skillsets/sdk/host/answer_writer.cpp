#include "skillsets/sdk/host/answer_writer.hpp"

#include "skillsets/sdk/host/messages.hpp"

namespace troupe {

void answer_writer::allow(bool files, bool segments) noexcept {
  attaches_ = files;
  shares_ = files && segments;
}

expected<void> answer_writer::write(host::v1::FromHost& message, attachments files) {
  const std::lock_guard lock{mutex_};
  host::tell(segments_, message);
  auto written = frames_.write(message, std::move(files));
  if (!written && message.has_segments()) {
    // What it says of segments is true all the same.
    host::v1::FromHost alone;
    alone.mutable_segments()->Swap(message.mutable_segments());
    static_cast<void>(frames_.write(alone));
  }
  return written;
}

}  // namespace troupe
