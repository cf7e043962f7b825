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

void wait_for(int socket, short what) {
  pollfd poll_for{socket, what, 0};
  static_cast<void>(poll(&poll_for, 1, -1));
}

}  // namespace

expected<void> append_frame(std::string& bytes, const google::protobuf::MessageLite& message) {
  const auto size = message.ByteSizeLong();
  if (size > most_frame_bytes)
    return make_error(status_code::resource_exhausted,
                      "a message of " + std::to_string(size) + " bytes is longer than the " +
                          std::to_string(most_frame_bytes) + " that may cross between node and host",
                      "send less at once");
  const auto begin = bytes.size();
  bytes.resize(begin + length_bytes + size);
  const auto length = static_cast<std::uint32_t>(size);
  std::memcpy(bytes.data() + begin, &length, length_bytes);
  message.SerializeWithCachedSizesToArray(reinterpret_cast<std::uint8_t*>(bytes.data()) + begin + length_bytes);
  return {};
}

expected<void> frame_writer::write(const google::protobuf::MessageLite& message) {
  const std::lock_guard lock{mutex_};
  bytes_.clear();
  if (auto appended = append_frame(bytes_, message); !appended)
    return appended;
  for (std::size_t sent = 0; sent != bytes_.size();) {
    const auto n = send(socket_, bytes_.data() + sent, bytes_.size() - sent, MSG_NOSIGNAL);
    if (n >= 0)
      sent += static_cast<std::size_t>(n);
    else if (errno == EAGAIN || errno == EWOULDBLOCK)
      wait_for(socket_, POLLOUT);
    else if (errno != EINTR)
      return broken_socket();
  }
  return {};
}

/// Reads until `bytes_` has as much; false when that has not all arrived.
expected<bool> frame_reader::fill(std::size_t wanted) {
  // Not more at once than has arrived, or a length that is a lie would cost as much memory.
  constexpr std::size_t step = std::size_t{1} << 20;
  while (filled_ < wanted) {
    const auto most = std::min(wanted - filled_, step);
    if (bytes_.size() < filled_ + most)
      bytes_.resize(filled_ + most);
    const auto n = recv(socket_, bytes_.data() + filled_, most, MSG_DONTWAIT);
    if (n > 0)
      filled_ += static_cast<std::size_t>(n);
    else if (n == 0)
      return other_side_gone();
    else if (errno == EAGAIN || errno == EWOULDBLOCK)
      return false;
    else if (errno != EINTR)
      return broken_socket();
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
