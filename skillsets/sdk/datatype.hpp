#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace troupe {

/// The element types of the Open Inference Protocol v2
/// (https://github.com/kserve/open-inference-protocol, "Tensor Data Types").
enum class datatype : std::uint8_t {
  any,  ///< in a signature only: every type is welcome
  boolean,
  uint8,
  uint16,
  uint32,
  uint64,
  int8,
  int16,
  int32,
  int64,
  fp16,
  bf16,
  fp32,
  fp64,
  bytes,  ///< elements of any length, each preceded by its length in 4 bytes, little-endian
};

/// The protocol's spelling, such as `FP32`; `ANY` for `any`.
std::string_view to_string(datatype type) noexcept;

/// The type that the protocol spells `name`, exactly so; nothing for an unknown name and for `ANY`.
std::optional<datatype> parse_datatype(std::string_view name) noexcept;

/// Bytes an element takes; 0 for `bytes` and `any`, whose elements have no fixed size.
std::size_t element_size(datatype type) noexcept;

}  // namespace troupe
