#include "apps/troupe/line_reader.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include <poll.h>
#include <unistd.h>

namespace troupe::cli {
namespace {

constexpr std::size_t chunk_size = 64 * 1024;

error broken_input(int code) {
  return make_error(status_code::internal, "standard input can't be read: " + std::generic_category().message(code));
}

error too_long(const std::string& what, std::size_t limit) {
  return make_error(status_code::out_of_range, what + " is longer than " + std::to_string(limit) + " bytes");
}

/// What was read before the failure, which the next call meets again, or the failure.
expected<std::vector<std::string>> or_error(std::vector<std::string> batch, error failure) {
  if (batch.empty())
    return failure;
  return batch;
}

}  // namespace

expected<std::vector<std::string>> line_reader::next() {
  std::vector<std::string> batch;
  batch_bytes_ = 0;
  if (const auto ready = readable(0); !ready)
    return ready.error();
  for (;;) {
    take_lines(batch);
    if (full(batch))
      return batch;
    if (scanned_ - begin_ > limits_.line_bytes)
      return or_error(std::move(batch), too_long("a line of standard input", limits_.line_bytes));
    if (end_)
      break;
    const auto ready = readable(batch.empty() ? -1 : 0);
    if (!ready)
      return ready.error();
    if (!*ready)
      return batch;
    if (auto filled = fill(); !filled)
      return or_error(std::move(batch), filled.error());
  }
  if (begin_ != buffer_.size())
    batch.push_back(buffer_.substr(begin_));
  buffer_.clear();
  begin_ = scanned_ = 0;
  return batch;
}

expected<std::string> line_reader::rest() {
  while (!end_) {
    if (const auto ready = readable(-1); !ready)
      return ready.error();
    if (auto filled = fill(); !filled)
      return filled.error();
    if (buffer_.size() > limits_.line_bytes)
      return too_long("standard input", limits_.line_bytes);
  }
  auto all = buffer_.substr(begin_);
  buffer_.clear();
  begin_ = scanned_ = 0;
  return all;
}

void line_reader::take_lines(std::vector<std::string>& batch) {
  while (!full(batch)) {
    scanned_ = std::min(buffer_.find('\n', scanned_), buffer_.size());
    if (scanned_ == buffer_.size() || scanned_ - begin_ > limits_.line_bytes)
      return;
    batch.push_back(buffer_.substr(begin_, scanned_ - begin_));
    batch_bytes_ += batch.back().size();
    begin_ = ++scanned_;
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
  return {};
}

}  // namespace troupe::cli
