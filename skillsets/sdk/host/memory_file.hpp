#pragma once

#include "actors/concurrency/error.hpp"

#include <cstddef>
#include <memory>
#include <span>

namespace troupe {

/// The bytes of a file in this process's memory, for as long as this lives; the descriptor isn't needed for it.
/// Thread-safe as its bytes are.
class mapping {
 public:
  /// How it is to be mapped.
  enum class kind {
    sealed,   ///< to be read, of a file that nobody can change
    read,     ///< to be read, as it is at that moment
    writable  ///< to be written, for everybody who has the file mapped
  };

  /// The first `size` bytes, 1 at least, of a file that is at least as long. RESOURCE_EXHAUSTED when the system can't.
  static expected<std::shared_ptr<const mapping>> make(int file, std::size_t size, kind how);

  ~mapping();
  mapping(const mapping&) = delete;
  mapping& operator=(const mapping&) = delete;

  /// Of one that is writable.
  std::byte* begin() const noexcept { return begin_; }
  std::span<const std::byte> bytes() const noexcept { return {begin_, size_}; }

 private:
  mapping(std::byte* begin, std::size_t size) noexcept : begin_(begin), size_(size) {}

  std::byte* const begin_;
  const std::size_t size_;
};

/// Makes a file in memory that has these bytes and can be sealed: its descriptor, which is the caller's.
/// RESOURCE_EXHAUSTED when the system has no more descriptors, or no more memory.
expected<int> make_memory_file(std::span<const std::byte> bytes);

/// Why the system, which has just set errno, could not do `what` for a large tensor.
error no_more(const char* what);

}  // namespace troupe
