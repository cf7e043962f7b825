#include "skillsets/sdk/datatype.hpp"

#include <array>

namespace troupe {
namespace {

struct entry {
  std::string_view name;
  std::size_t size;
};

// In the order of the enumerators.
constexpr std::array<entry, 15> entries{{{"ANY", 0},
                                         {"BOOL", 1},
                                         {"UINT8", 1},
                                         {"UINT16", 2},
                                         {"UINT32", 4},
                                         {"UINT64", 8},
                                         {"INT8", 1},
                                         {"INT16", 2},
                                         {"INT32", 4},
                                         {"INT64", 8},
                                         {"FP16", 2},
                                         {"BF16", 2},
                                         {"FP32", 4},
                                         {"FP64", 8},
                                         {"BYTES", 0}}};

}  // namespace

std::string_view to_string(datatype type) noexcept {
  return entries[static_cast<std::size_t>(type)].name;
}

std::optional<datatype> parse_datatype(std::string_view name) noexcept {
  for (std::size_t i = 1; i != entries.size(); ++i)
    if (entries[i].name == name)
      return static_cast<datatype>(i);
  return std::nullopt;
}

std::size_t element_size(datatype type) noexcept {
  return entries[static_cast<std::size_t>(type)].size;
}

}  // namespace troupe
