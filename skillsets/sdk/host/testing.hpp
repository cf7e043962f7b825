#pragma once

#include "skillsets/sdk/host/frames.hpp"
#include "skillsets/sdk/host/messages.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

/// For the tests of what speaks host.proto.
namespace troupe::testing_support {

/// A connected pair of stream sockets, close-on-exec, of which each end closes once.
class socket_pair {
 public:
  socket_pair() {
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_.data()) != 0)
      throw std::runtime_error{"no socketpair"};
  }
  ~socket_pair() {
    close_end(0);
    close_end(1);
  }
  socket_pair(const socket_pair&) = delete;
  socket_pair& operator=(const socket_pair&) = delete;

  int operator[](std::size_t end) const { return ends_[end]; }

  void close_end(std::size_t end) {
    if (ends_[end] >= 0)
      close(std::exchange(ends_[end], -1));
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

inline model_settings named(std::string name, parameter_map options = {}) {
  model_settings settings;
  settings.name = std::move(name);
  settings.options = std::move(options);
  return settings;
}

/// The node's side of a conversation, one message after the other.
class node_side {
 public:
  explicit node_side(int socket) : writer_(socket), reader_(socket) {}

  expected<void> say(const host::wire::ToHost& message, attachments files = {}) {
    return writer_.write(message, std::move(files));
  }

  /// What came with the message that was read last.
  attachments take_files() { return reader_.take_files(); }

  /// What the host says next; throws when it is gone.
  host::wire::FromHost next() {
    host::wire::FromHost message;
    if (const auto read = reader_.read(message); !read)
      throw std::runtime_error{to_string(read.error())};
    return message;
  }

  /// True once the host is gone, after whatever it may still say.
  bool gone() {
    host::wire::FromHost message;
    while (reader_.read(message)) {
    }
    return true;
  }

  host::wire::FromHost load(const model_settings& settings = named("model")) {
    host::wire::ToHost message;
    host::to_wire(settings, *message.mutable_load());
    static_cast<void>(say(message));
    return next();
  }

  void run(const std::vector<inference_request>& requests) {
    host::wire::ToHost message;
    message.mutable_run();
    for (const auto& request : requests)
      host::to_wire(request, *message.mutable_run()->add_items());
    static_cast<void>(say(message));
  }

  void cancel() {
    host::wire::ToHost message;
    message.mutable_cancel();
    static_cast<void>(say(message));
  }

  void cancel(std::uint32_t item) {
    host::wire::ToHost message;
    message.mutable_cancel()->set_item(item);
    static_cast<void>(say(message));
  }

 private:
  frame_writer writer_;
  frame_reader reader_;
};

/// A tensor of one axis, and the elements of one.
template <class T>
tensor elements(std::string name, datatype type, std::vector<T> values) {
  const auto size = static_cast<std::int64_t>(values.size());
  return {std::move(name), type, {size}, buffer::take(std::move(values))};
}

template <class T>
std::vector<T> elements(const host::wire::Tensor& of) {
  std::vector<T> result(of.data().size() / sizeof(T));
  if (!result.empty())
    std::memcpy(result.data(), of.data().data(), result.size() * sizeof(T));
  return result;
}

}  // namespace troupe::testing_support
