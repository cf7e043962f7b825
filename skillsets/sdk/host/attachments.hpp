#pragma once

#include "actors/concurrency/error.hpp"
#include "skillsets/sdk/host/segments.hpp"
#include "skillsets/sdk/tensor.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace troupe {

/// The files that go with a message from one process to the other: what a tensor has that is too large to be copied
/// through a socket. Each is in memory, and sealed: once it was sent, neither side can change it or make it shorter, so
/// that the receiver may view it where it lies. Or it is a segment, which is used again, and then mostly no file goes
/// with the message. Owns its descriptors; move-only; for one thread.
class attachments {
 public:
  /// Where a tensor is: in a segment, in a file that goes with the message, or in that, which is the segment.
  struct place {
    std::optional<std::uint32_t> segment;
    std::optional<std::uint32_t> file;
  };

  /// From how many bytes on a tensor goes this way: below, copying it costs less than making a file and mapping it.
  static constexpr std::size_t worthwhile = std::size_t{256} << 10;

  /// The most that go with one message.
  static constexpr std::size_t most = 64;

  attachments() = default;

  /// Of a message to a side that takes segments, where there is a `pool`, which outlives this.
  explicit attachments(segment_pool* pool) noexcept : pool_(pool) {}
  attachments(attachments&& other) noexcept
      : pool_(other.pool_), files_(std::exchange(other.files_, {})), loans_(std::exchange(other.loans_, {})) {}
  attachments& operator=(attachments&& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(files_, other.files_);
    std::swap(loans_, other.loans_);
    return *this;
  }

  /// What was lent for a message that wasn't sent goes back to its pool.
  ~attachments();

  bool empty() const noexcept { return files_.empty(); }
  std::span<const int> descriptors() const noexcept { return files_; }

  /// Copies bytes into a file; its number. RESOURCE_EXHAUSTED when there are `most`, or the system has no more.
  expected<std::uint32_t> add(std::span<const std::byte> bytes);

  /// Copies bytes into a segment, or where there is none into a file. Not for what has to stay as it is once it was
  /// checked.
  expected<place> share(std::span<const std::byte> bytes);

  /// The message is on its way.
  void sent() noexcept;

  /// Takes over a descriptor that was received.
  void adopt(int descriptor) { files_.push_back(descriptor); }

  /// The first `size` bytes of a file that was received, for as long as the buffer lives. DATA_LOSS when there is no
  /// such file, when it is shorter, and when it could still be changed.
  expected<buffer> view(std::uint32_t number, std::uint64_t size) const;

 private:
  segment_pool* pool_ = nullptr;
  std::vector<int> files_;
  std::vector<segment_pool::loan> loans_;
};

}  // namespace troupe
