#include "apps/troupe/line_reader.hpp"

#include <array>
#include <cerrno>
#include <system_error>

#include <poll.h>
#include <unistd.h>

namespace troupe::cli {
namespace {

constexpr std::size_t chunk_size = 64 * 1024;

error broken_input(int code) {
  return make_error(status_code::internal, "standard input can't be read: " + std::generic_category().message(code));
}

}  // namespace

expected<std::vector<std::string>> line_reader::next() {
  std::vector<std::string> batch;
  batch_bytes_ = 0;
  for (;;) {
    take_lines(batch);
    if (full(batch))
      return batch;
    if (end_)
      break;
    const auto ready = readable(batch.empty() ? -1 : 0);
    if (!ready)
      return ready.error();
    if (!*ready)
      return batch;
    if (auto filled = fill(); !filled)
      return filled.error();
  }
  if (begin_ != buffer_.size())
    batch.push_back(buffer_.substr(begin_));
  buffer_.clear();
  begin_ = scanned_ = 0;
  return batch;
}

void line_reader::take_lines(std::vector<std::string>& batch) {
  while (!full(batch)) {
    const auto newline = buffer_.find('\n', scanned_);
    if (newline == std::string::npos) {
      scanned_ = buffer_.size();
      return;
    }
    batch.push_back(buffer_.substr(begin_, newline - begin_));
    batch_bytes_ += batch.back().size();
    begin_ = scanned_ = newline + 1;
  }
}

bool line_reader::full(const std::vector<std::string>& batch) const noexcept {
  return batch.size() >= limits_.lines || batch_bytes_ >= limits_.bytes;
}

expected<bool> line_reader::readable(int timeout_ms) const {
  std::array<pollfd, 2> either{{{descriptor_, POLLIN, 0}, {stop_, POLLIN, 0}}};
  while (::poll(either.data(), either.size(), timeout_ms) < 0)
    if (errno != EINTR)
      return broken_input(errno);
  if (either[1].revents != 0)
    return make_error(status_code::cancelled, "interrupted");
  return either[0].revents != 0;
}

expected<void> line_reader::fill() {
  buffer_.erase(0, begin_);
  scanned_ -= begin_;
  begin_ = 0;
  std::array<char, chunk_size> chunk;
  ssize_t size = 0;
  do
    size = ::read(descriptor_, chunk.data(), chunk.size());
  while (size < 0 && errno == EINTR);
  if (size < 0)
    return broken_input(errno);
  end_ = size == 0;
  if (!end_)
    buffer_.append(chunk.data(), static_cast<std::size_t>(size));
  if (buffer_.size() > limits_.line_bytes + chunk_size)
    return make_error(status_code::out_of_range,
                      "a line of standard input is longer than " + std::to_string(limits_.line_bytes) + " bytes");
  return {};
}

}  // namespace troupe::cli
