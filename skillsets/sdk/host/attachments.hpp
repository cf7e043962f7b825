#pragma once

#include "actors/concurrency/error.hpp"
#include "skillsets/sdk/tensor.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace troupe {

/// The files that go with a message from one process to the other: what a tensor has that is too large to be copied
/// through a socket. Each is in memory, and sealed: once it was sent, neither side can change it or make it shorter, so
/// that the receiver may view it where it lies. Owns its descriptors; move-only; for one thread.
class attachments {
 public:
  /// From how many bytes on a tensor goes this way: below, copying it costs less than making a file and mapping it.
  static constexpr std::size_t worthwhile = std::size_t{256} << 10;

  /// The most that go with one message.
  static constexpr std::size_t most = 64;

  attachments() = default;
  attachments(attachments&& other) noexcept : files_(std::exchange(other.files_, {})) {}
  attachments& operator=(attachments&& other) noexcept {
    std::swap(files_, other.files_);
    return *this;
  }
  ~attachments();

  bool empty() const noexcept { return files_.empty(); }
  std::span<const int> descriptors() const noexcept { return files_; }

  /// Copies bytes into a file; its number. RESOURCE_EXHAUSTED when there are `most`, or the system has no more.
  expected<std::uint32_t> add(std::span<const std::byte> bytes);

  /// Takes over a descriptor that was received.
  void adopt(int descriptor) { files_.push_back(descriptor); }

  /// The first `size` bytes of a file that was received, for as long as the buffer lives. DATA_LOSS when there is no
  /// such file, when it is shorter, and when it could still be changed.
  expected<buffer> view(std::uint32_t number, std::uint64_t size) const;

 private:
  std::vector<int> files_;
};

}  // namespace troupe
