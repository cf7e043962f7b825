#pragma once

#include "actors/concurrency/error.hpp"
#include "skillsets/sdk/tensor.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

namespace troupe {

/// A part of a POSIX shared memory object, under the name by which requests refer to it.
struct shared_region {
  std::string name;
  std::string key;              ///< the object's name, as shm_open takes it, with or without its leading slash
  std::uint64_t offset = 0;     ///< of the region in the object, in bytes; any
  std::uint64_t byte_size = 0;  ///< at least 1
};

/// Some bytes of a registered region. The object stays open for as long as the slice is there, whether or not the
/// region is still registered and the object still has a name.
///
/// The memory is its client's, who may make the object smaller at any moment; whoever touched a mapping of it then
/// would die of SIGBUS. So nothing is mapped: bytes are copied by pread and pwrite, which fail instead
/// (docs/decisions/0004-shared-memory-by-pread.md). Thread-safe.
class shared_slice {
 public:
  struct open_region;

  shared_slice(std::shared_ptr<const open_region> region, std::uint64_t offset, std::uint64_t size)
      : region_(std::move(region)), offset_(offset), size_(size) {}

  const std::string& region() const noexcept;
  std::uint64_t offset() const noexcept { return offset_; }  ///< in the region, in bytes
  std::uint64_t size() const noexcept { return size_; }

  /// FAILED_PRECONDITION when the object has become too small for the slice.
  expected<void> check() const;

  /// A copy of the bytes as they are now. As `check`; INTERNAL when the system can't read them.
  expected<buffer> read() const;

  /// Puts `bytes`, at most size() of them, where the slice begins. As `check`, and RESOURCE_EXHAUSTED when there is no
  /// memory left for them. An object that shrinks at this very moment grows again by what is written.
  expected<void> write(std::span<const std::byte> bytes) const;

 private:
  std::shared_ptr<const open_region> region_;
  std::uint64_t offset_;
  std::uint64_t size_;
};

/// The shared memory that clients have registered: system shared memory of Triton's shared-memory extension. Regions
/// may overlap; who writes into what others read has to know when. Thread-safe.
class shared_memory {
 public:
  /// Each region holds a file descriptor, of which a process often has no more than 1024.
  static constexpr std::size_t most_regions = 256;
  /// Of a region's name, in bytes: it is kept for as long as the region.
  static constexpr std::size_t longest_name = 255;

  /// Registers a region. INVALID_ARGUMENT for a name, key, offset or size that can't be, or that reaches past the end
  /// of the object; NOT_FOUND and PERMISSION_DENIED from the system; ALREADY_EXISTS for a name that is taken;
  /// RESOURCE_EXHAUSTED when there are `most_regions` already, or no descriptor left.
  expected<void> add(shared_region region);

  /// Forgets a region; one that isn't there is forgotten already. What uses it goes on using it.
  void remove(const std::string& name);
  void remove_all();

  /// The bytes from `offset` on in the region `name`. NOT_FOUND, or INVALID_ARGUMENT when they are not all in the
  /// region.
  expected<shared_slice> find(const std::string& name, std::uint64_t offset, std::uint64_t size) const;

  /// The region `name`, or all of them in the order of their names when it is empty. NOT_FOUND.
  expected<std::vector<shared_region>> describe(const std::string& name) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const shared_slice::open_region>, std::less<>> regions_;
};

}  // namespace troupe
