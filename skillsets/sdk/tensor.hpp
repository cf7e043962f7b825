#pragma once

#include "actors/concurrency/error.hpp"
#include "skillsets/sdk/datatype.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe {

/// Bytes that nobody changes any more, and whoever keeps them alive. Copies share; what arrived from the wire is
/// viewed where it lies. Thread-safe as immutable data is.
class buffer {
 public:
  buffer() = default;

  /// Views `bytes`, which live as long as `owner` does.
  buffer(std::span<const std::byte> bytes, std::shared_ptr<const void> owner)
      : bytes_(bytes), owner_(std::move(owner)) {}

  /// Takes over the bytes of a string.
  static buffer take(std::string bytes);

  /// Takes over the elements of a vector, in the machine's byte order.
  template <class T>
  static buffer take(std::vector<T> elements) {
    auto owner = std::make_shared<const std::vector<T>>(std::move(elements));
    return {std::as_bytes(std::span{*owner}), owner};
  }

  std::span<const std::byte> bytes() const noexcept { return bytes_; }
  std::size_t size() const noexcept { return bytes_.size(); }

  /// The bytes as characters.
  std::string_view view() const noexcept { return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()}; }

 private:
  std::span<const std::byte> bytes_;
  std::shared_ptr<const void> owner_;
};

/// A named array: row-major, little-endian, laid out as the Open Inference Protocol's raw contents. Cheap to copy.
struct tensor {
  std::string name;
  datatype type = datatype::fp32;
  std::vector<std::int64_t> shape;
  buffer data;
};

/// The number of elements of a shape: the product of its extents, 1 for the empty shape. INVALID_ARGUMENT when an
/// extent is negative or the product does not fit 63 bits.
expected<std::int64_t> element_count(std::span<const std::int64_t> shape);

/// `[2, 16]`; -1 stands for an extent that may be anything.
std::string shape_to_string(std::span<const std::int64_t> shape);

/// The elements of BYTES data as views into `data`. INVALID_ARGUMENT when a length reaches past the end or the
/// number of elements isn't `count`; the cause names the element.
expected<std::vector<std::string_view>> split_bytes(std::string_view data, std::int64_t count);

/// Appends one element of BYTES data: its length, then its bytes. `element` is shorter than 4 GiB.
void append_bytes(std::string& data, std::string_view element);

}  // namespace troupe
