#include "skillsets/sdk/host/frames.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace troupe {
namespace {

constexpr std::size_t length_bytes = 4;

error other_side_gone() {
  return make_error(status_code::unavailable, "the other process has closed its end of the socket");
}

error broken_socket() {
  if (errno == EPIPE || errno == ECONNRESET)
    return other_side_gone();
  return make_error(status_code::unavailable, "the socket failed: " + std::generic_category().message(errno));
}

/// Room in a message for descriptors that go with it.
class descriptor_space {
 public:
  void attach(msghdr& to, std::span<const int> descriptors) noexcept {
    to.msg_control = bytes_.data();
    to.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    auto* const header = CMSG_FIRSTHDR(&to);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
  }

  void offer(msghdr& to) noexcept {
    to.msg_control = bytes_.data();
    to.msg_controllen = bytes_.size();
  }

  /// What has come; nothing of it is left open in this process that `into` doesn't own.
  static void take(msghdr& from, attachments& into) {
    for (auto* header = CMSG_FIRSTHDR(&from); header; header = CMSG_NXTHDR(&from, header)) {
      if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
        continue;
      const auto count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (std::size_t i = 0; i != count; ++i) {
        int descriptor = -1;
        std::memcpy(&descriptor, CMSG_DATA(header) + i * sizeof(int), sizeof descriptor);
        into.adopt(descriptor);
      }
    }
  }

 private:
  alignas(cmsghdr) std::array<char, CMSG_SPACE(attachments::most * sizeof(int))> bytes_{};
};

void wait_for(int socket, short what) {
  pollfd poll_for{socket, what, 0};
  static_cast<void>(poll(&poll_for, 1, -1));
}

}  // namespace

expected<void> outgoing_frames::append(const google::protobuf::MessageLite& message, attachments files) {
  const auto size = message.ByteSizeLong();
  if (size > most_frame_bytes)
    return make_error(status_code::resource_exhausted,
                      "a message of " + std::to_string(size) + " bytes is longer than the " +
                          std::to_string(most_frame_bytes) + " that may cross between node and host",
                      "send less at once");
  const auto begin = bytes_.size();
  bytes_.resize(begin + length_bytes + size);
  const auto length = static_cast<std::uint32_t>(size);
  std::memcpy(bytes_.data() + begin, &length, length_bytes);
  message.SerializeWithCachedSizesToArray(reinterpret_cast<std::uint8_t*>(bytes_.data()) + begin + length_bytes);
  files.sent();
  if (!files.empty())
    files_.emplace_back(begin, std::move(files));
  return {};
}

expected<void> outgoing_frames::send_some(int socket) {
  while (sent_ != bytes_.size()) {
    // The files of a message go with its first byte, and no other message's come before them.
    const bool with_files = !files_.empty() && files_.front().first == sent_;
    const auto next = files_.size() > (with_files ? 1u : 0u) ? files_[with_files ? 1 : 0].first : bytes_.size();
    iovec data{bytes_.data() + sent_, next - sent_};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    descriptor_space space;
    if (with_files)
      space.attach(message, files_.front().second.descriptors());
    const auto n = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) {
      sent_ += static_cast<std::size_t>(n);
      if (with_files)
        files_.pop_front();
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return {};
    } else if (errno != EINTR) {
      return broken_socket();
    }
  }
  bytes_.clear();
  sent_ = 0;
  return {};
}

expected<void> frame_writer::write(const google::protobuf::MessageLite& message, attachments files) {
  const std::lock_guard lock{mutex_};
  if (auto appended = outgoing_.append(message, std::move(files)); !appended)
    return appended;
  for (;;) {
    if (auto sent = outgoing_.send_some(socket_); !sent || outgoing_.empty())
      return sent;
    wait_for(socket_, POLLOUT);
  }
}

/// Some bytes that have arrived, and the files that came with them; 0 when none have.
expected<std::size_t> frame_reader::receive(char* to, std::size_t most) {
  iovec data{to, most};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  descriptor_space space;
  space.offer(message);
  for (;;) {
    const auto n = recvmsg(socket_, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
      return std::size_t{0};
    if (n < 0)
      return broken_socket();
    space.take(message, coming_);
    if (n == 0)
      return other_side_gone();
    if ((message.msg_flags & MSG_CTRUNC) != 0 || coming_.descriptors().size() > attachments::most)
      return make_error(status_code::data_loss, "the other process attaches more files than a message can have");
    return static_cast<std::size_t>(n);
  }
}

/// Reads until `bytes_` has as much; false when that has not all arrived.
expected<bool> frame_reader::fill(std::size_t wanted) {
  // Not more at once than has arrived, or a length that is a lie would cost as much memory.
  constexpr std::size_t step = std::size_t{1} << 20;
  while (filled_ < wanted) {
    const auto most = std::min(wanted - filled_, step);
    if (bytes_.size() < filled_ + most)
      bytes_.resize(filled_ + most);
    const auto arrived = receive(bytes_.data() + filled_, most);
    if (!arrived)
      return arrived.error();
    if (*arrived == 0)
      return false;
    filled_ += *arrived;
  }
  return true;
}

expected<bool> frame_reader::try_read(google::protobuf::MessageLite& message) {
  if (auto begun = fill(length_bytes); !begun || !*begun)
    return begun;
  std::uint32_t length = 0;
  std::memcpy(&length, bytes_.data(), length_bytes);
  if (length > most_frame_bytes)
    return make_error(status_code::data_loss, "the other process announces a message of " + std::to_string(length) +
                                                  " bytes, which can't be one");
  if (auto whole = fill(length_bytes + length); !whole || !*whole)
    return whole;
  filled_ = 0;
  complete_ = std::exchange(coming_, {});
  if (!message.ParseFromArray(bytes_.data() + length_bytes, static_cast<int>(length)))
    return make_error(status_code::data_loss, "the other process sends what is no message");
  return true;
}

expected<void> frame_reader::read(google::protobuf::MessageLite& message) {
  for (;;) {
    const auto done = try_read(message);
    if (!done)
      return done.error();
    if (*done)
      return {};
    wait_for(socket_, POLLIN);
  }
}

}  // namespace troupe
