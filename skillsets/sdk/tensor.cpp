#include "skillsets/sdk/tensor.hpp"

#include <bit>
#include <cstring>

namespace troupe {

static_assert(std::endian::native == std::endian::little, "raw tensor contents are little-endian");

namespace {

constexpr std::size_t length_prefix = 4;

}  // namespace

buffer buffer::take(std::string bytes) {
  auto owner = std::make_shared<const std::string>(std::move(bytes));
  return {std::as_bytes(std::span{*owner}), owner};
}

expected<std::int64_t> element_count(std::span<const std::int64_t> shape) {
  std::int64_t count = 1;
  bool has_zero = false;
  for (const auto extent : shape) {
    if (extent < 0)
      return make_error(status_code::invalid_argument,
                        "shape " + shape_to_string(shape) + " has the negative extent " + std::to_string(extent));
    has_zero |= extent == 0;
  }
  if (has_zero)
    return 0;
  for (const auto extent : shape)
    if (__builtin_mul_overflow(count, extent, &count))
      return make_error(status_code::invalid_argument,
                        "shape " + shape_to_string(shape) + " has more elements than 63 bits can count");
  return count;
}

std::string shape_to_string(std::span<const std::int64_t> shape) {
  std::string text = "[";
  for (const auto extent : shape)
    text += (text.size() == 1 ? "" : ", ") + std::to_string(extent);
  return text + "]";
}

expected<std::vector<std::string_view>> split_bytes(std::string_view data, std::int64_t count) {
  const auto wrong = [&](std::size_t element, const std::string& what) {
    return make_error(status_code::invalid_argument, "BYTES element " + std::to_string(element) + " " + what,
                      "each element is its length in 4 little-endian bytes, then that many bytes");
  };
  std::vector<std::string_view> elements;
  // An element takes at least its prefix, so a shape can't make us reserve more than the data could hold.
  if (count < 0 || static_cast<std::uint64_t>(count) > data.size() / length_prefix)
    return wrong(data.size() / length_prefix, "is missing: " + std::to_string(data.size()) + " bytes can't hold " +
                                                  std::to_string(count) + " elements");
  elements.reserve(static_cast<std::size_t>(count));
  while (elements.size() != static_cast<std::size_t>(count)) {
    if (data.size() < length_prefix)
      return wrong(elements.size(), "is missing");
    std::uint32_t length = 0;
    std::memcpy(&length, data.data(), length_prefix);
    data.remove_prefix(length_prefix);
    if (length > data.size())
      return wrong(elements.size(),
                   "claims " + std::to_string(length) + " bytes where " + std::to_string(data.size()) + " are left");
    elements.push_back(data.substr(0, length));
    data.remove_prefix(length);
  }
  if (!data.empty())
    return make_error(status_code::invalid_argument, std::to_string(data.size()) + " bytes follow the last of " +
                                                         std::to_string(count) + " BYTES elements");
  return elements;
}

void append_bytes(std::string& data, std::string_view element) {
  const auto length = static_cast<std::uint32_t>(element.size());
  char prefix[length_prefix];
  std::memcpy(prefix, &length, length_prefix);
  data.append(prefix, length_prefix).append(element);
}

}  // namespace troupe
